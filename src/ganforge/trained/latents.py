"""Latents of seeds, truncation and classes."""

import torch
from torch import Tensor

from ganforge.models.gan import GAN
from ganforge.trained.load import LoadedRun
from ganforge.utils.errors import UserError
from ganforge.utils.seeds import picture_rng


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
    count, names = loaded.module.num_classes, loaded.classes
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
