"""``ganforge generate``: pictures from seeds."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ganforge.api.models import CHUNK, TrainedGenerator, check_request
from ganforge.trained.load import load_run, need_latents
from ganforge.utils.images import grid, save_image
from ganforge.utils.terminal import relative_path, terminal


def _sheet(folder: Path, seed: int, count: int) -> Path:
    """Where the sheet lies: among the samples it would be taken for one of them."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}_sheet_seed_{seed:06d}_n{count}.png")


def generate(config: DictConfig) -> None:
    """Write one PNG a seed, from ``seed`` on, and a sheet of them beside their folder."""
    check_request(config.n, config.seed, config.truncation)
    loaded = load_run(config.run, config.checkpoint, config.device, config.trusted)
    need_latents(loaded)
    model = TrainedGenerator(loaded)
    moves = OmegaConf.to_container(config.edit) if config.edit is not None else {}
    folder = Path(config.output or loaded.place("generated"))
    for start in range(0, config.n, CHUNK):
        count, seed = min(CHUNK, config.n - start), config.seed + start
        images = (
            model.sample(count, seed, config.truncation, config["class"])
            if config.edit is None
            else model.edit(
                range(seed, seed + count), moves, truncation=config.truncation,
                label=config["class"], space=config.space,
            )
        )  # fmt: skip
        for number, image in enumerate(images, start=seed):
            save_image(image, folder / f"seed_{number:06d}.png")
        if start == 0:
            scale = max(1, 512 // (images.shape[-1] * 8))
            sheet = _sheet(folder, seed, count)
            save_image(grid(images, min(8, count), scale=scale), sheet)
    terminal().print(
        f"{config.n} images of step {loaded.step} in {relative_path(folder)}, the first "
        f"{min(CHUNK, config.n)} side by side in {relative_path(sheet)}",
        soft_wrap=True,
    )
