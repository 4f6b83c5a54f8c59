"""``ganforge generate``: pictures from seeds."""

from pathlib import Path

from omegaconf import DictConfig

from ganforge.trained.health import refuse_broken
from ganforge.trained.latents import class_number, labels_of_seeds, latents_of_seeds, truncated
from ganforge.trained.load import load_run, need_latents
from ganforge.utils.errors import UserError
from ganforge.utils.images import grid, save_image
from ganforge.utils.terminal import shown, terminal


def _sheet(folder: Path, seed: int, count: int) -> Path:
    """Where the sheet lies: among the samples it would be taken for one of them."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}_sheet_seed_{seed:06d}_n{count}.png")


def generate(config: DictConfig) -> None:
    """Write one PNG a seed, from ``seed`` on, and a sheet of them beside their folder."""
    if not 1 <= (config.n or 0) <= 1_000_000:
        raise UserError(f"n={config.n} is not a count of images between 1 and 1000000")
    if config.seed < 0:
        raise UserError(f"seed={config.seed} must not be negative")
    if (cut := config.truncation) is not None and not (isinstance(cut, int | float) and cut > 0):
        raise UserError(f"truncation={cut} is no number above 0: 0.7 is usual, null for none")
    loaded = load_run(config.run, config.checkpoint, config.device, config.trusted)
    need_latents(loaded)
    refuse_broken(loaded)
    number = class_number(loaded, config["class"])
    folder = Path(config.output or loaded.place("generated"))
    seeds = range(config.seed, config.seed + config.n)
    for start in range(0, config.n, 64):
        chunk = seeds[start : start + 64]
        z = latents_of_seeds(loaded.module, chunk)
        labels = labels_of_seeds(loaded.module, chunk, number)
        images = loaded.module.generate(truncated(z, config.truncation), labels)
        for seed, image in zip(chunk, images, strict=True):
            save_image(image, folder / f"seed_{seed:06d}.png")
        if start == 0:
            scale = max(1, 512 // (images.shape[-1] * 8))
            sheet = _sheet(folder, config.seed, len(chunk))
            save_image(grid(images, min(8, len(chunk)), scale=scale), sheet)
    terminal().print(
        f"{config.n} images of step {loaded.step} in {shown(folder)}, the first "
        f"{min(64, config.n)} side by side in {shown(sheet)}",
        soft_wrap=True,
    )
