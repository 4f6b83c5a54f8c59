"""``ganforge generate``: pictures from seeds."""

from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console
from torch import Tensor

from ganforge.commands.common import load_run, need_latents
from ganforge.commands.report import shown
from ganforge.models.gan import GAN
from ganforge.utils.errors import UserError
from ganforge.utils.images import grid, save_image


def latents_of_seeds(module: GAN, seeds: range | list[int]) -> Tensor:
    """One latent a seed, shape ``len(seeds)×latent_dim``: a seed names its picture for ever."""
    return torch.cat(
        [module.draw_latents(1, torch.Generator().manual_seed(seed)) for seed in seeds]
    )


def generate(config: DictConfig) -> None:
    """Write one PNG a seed, from ``seed`` on, and a grid of them."""
    if not 1 <= config.n <= 1_000_000:
        raise UserError(f"n={config.n} is not a count of images between 1 and 1000000")
    if config.seed < 0:
        raise UserError(f"seed={config.seed} must not be negative")
    loaded = load_run(config.run, config.checkpoint, config.device)
    need_latents(loaded)
    folder = Path(config.output or loaded.run.folder / "generated")
    seeds = range(config.seed, config.seed + config.n)
    for start in range(0, config.n, 64):
        chunk = seeds[start : start + 64]
        images = loaded.module.generate(latents_of_seeds(loaded.module, chunk))
        for seed, image in zip(chunk, images, strict=True):
            save_image(image, folder / f"seed_{seed:06d}.png")
        if start == 0:
            scale = max(1, 512 // (images.shape[-1] * 8))
            name = f"grid_seed_{config.seed:06d}_n{len(chunk)}.png"
            save_image(grid(images, min(8, len(chunk)), scale=scale), folder / name)
    Console().print(
        f"{config.n} images of step {loaded.step} in {shown(folder)}, the first "
        f"{min(64, config.n)} side by side in {name}",
        soft_wrap=True,
    )
