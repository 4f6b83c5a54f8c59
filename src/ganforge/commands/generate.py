"""``ganforge generate``: pictures from seeds."""

from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from ganforge.commands.common import LoadedRun, load_run, need_latents
from ganforge.commands.report import shown
from ganforge.commands.sources import refuse_broken
from ganforge.models.gan import GAN
from ganforge.utils.errors import UserError
from ganforge.utils.images import grid, save_image
from ganforge.utils.seeds import picture_rng
from ganforge.utils.terminal import terminal


def latents_of_seeds(module: GAN, seeds: range | list[int]) -> Tensor:
    """One latent a seed, shape ``len(seeds)×latent_dim``: a seed names its picture for ever."""
    return torch.cat([module.draw_latents(1, picture_rng(seed)) for seed in seeds])


def of_seeds(module: GAN, seeds: range | list[int]) -> Tensor:
    """Uint8 images of seeds, each in its own class where there are some."""
    return module.generate(latents_of_seeds(module, seeds), labels_of_seeds(module, seeds))


def truncated(z: Tensor, threshold: float | None) -> Tensor:
    """Latents of the normal distribution cut off at ±``threshold``; None cuts nothing off.

    The truncation trick of Brock et al. 2019: more typical pictures, less variety. Instead of
    drawing again, the distribution function maps each number, so that a seed keeps its character.
    """
    if threshold is None:
        return z
    edge = torch.special.ndtr(torch.tensor(-threshold, dtype=torch.float64))
    share = edge + (1 - 2 * edge) * torch.special.ndtr(z.double())
    return torch.special.ndtri(share).to(z.dtype)


def class_number(loaded: LoadedRun, wanted: object) -> int | None:
    """The number of a class given by number or name; a UserError lists those there are."""
    if wanted is None:
        return None
    count, names = getattr(loaded.module, "num_classes", None), loaded.classes
    if count is None:
        raise UserError(
            f"{loaded.run.folder} holds an unconditional model, which knows no class {wanted}: "
            "leave class out, or train one with conditioning=projection"
        )
    known = {str(i): i for i in range(count)} | {n.lower(): i for i, n in enumerate(names or [])}
    if (number := known.get(str(wanted).lower())) is None:
        listed = ", ".join(names) if names else "known by number only"
        raise UserError(
            f"class={wanted} is not among the {count} classes of {loaded.run.folder}: 0 to "
            f"{count - 1}, {listed}"
        )
    return number


def labels_of_seeds(
    module: GAN, seeds: range | list[int], number: int | None = None
) -> Tensor | None:
    """The chosen class, else one a seed, as frequent as in the training data; None: no classes."""
    if number is not None:
        return torch.full((len(seeds),), number)
    if module.num_classes is None:
        return None
    return torch.cat([module.draw_labels(1, seed) for seed in seeds])


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
