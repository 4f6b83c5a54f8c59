"""How good generated regions are: distances inside the soft mask, the seam, and baselines.

Images are uint8 ``N×C×H×W``; ``soft`` is the mask's weights, ``1×1×H×W``. Distances are of the
range −1 to 1, weighed by the mask: twice those of a 0–1 range.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.utils.images import to_float, to_uint8

LEAST_ERROR = 1e-8  # of a mean square: an exact region counts 80 dB


@dataclass(frozen=True)
class Quality:
    """Means over windows; ``seam_ratio`` is the jump at the border over that of the truth."""

    l1: float
    psnr: float
    seam_ratio: float


def quality(fake: Tensor, truth: Tensor, soft: Tensor) -> Quality:
    """How good windows are beside the truth."""
    return Quality(
        region_l1(fake, truth, soft).mean().item(),
        region_psnr(fake, truth, soft).mean().item(),
        seam(fake, soft) / seam(truth, soft),
    )


def region_l1(fake: Tensor, truth: Tensor, soft: Tensor) -> Tensor:
    """Mean absolute difference of every pair."""
    return _weighted((to_float(fake) - to_float(truth)).abs(), soft)


def region_psnr(fake: Tensor, truth: Tensor, soft: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of every pair."""
    error = _weighted(((to_float(fake) - to_float(truth)) / 2).square(), soft)
    return -10 * (error + LEAST_ERROR).log10()


def seam(images: Tensor, soft: Tensor) -> float:
    """Mean jump from a pixel to its neighbour across the mask's border, of a −1 to 1 range.

    A number of its own: compare it with that of true pictures, where nothing was put in.
    """
    inside, x = (soft > 0).float(), to_float(images)
    jumps = border = 0.0
    for dim in (-1, -2):
        across = inside.diff(dim=dim).abs()
        jumps += (x.diff(dim=dim).abs() * across).sum().item()
        border += across.sum().item()
    return jumps / (border * images.shape[0] * images.shape[1])


def blend(images: Tensor, made: Tensor, soft: Tensor) -> Tensor:
    """``made`` in the region of ``images``, uint8."""
    mixed = to_float(images) * (1 - soft) + to_float(made) * soft
    return torch.where(soft > 0, to_uint8(mixed), images)


def match_colours(exemplar: Tensor, images: Tensor, hole: Tensor) -> Tensor:
    """Exemplars with the mean and spread of each channel that ``images`` have around the hole."""
    ring = 1 - hole
    (mean, spread), (mean_here, spread_here) = (
        _moments(to_float(x), ring) for x in (exemplar, images)
    )
    return to_uint8((to_float(exemplar) - mean) / spread.clamp_min(0.02) * spread_here + mean_here)


def _moments(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    def mean(values: Tensor) -> Tensor:
        return (values * weight).sum((2, 3), keepdim=True) / weight.sum()

    return mean(x), mean((x - mean(x)).square()).sqrt()


def _weighted(values: Tensor, soft: Tensor) -> Tensor:
    return (values * soft).sum((1, 2, 3)) / (soft.sum() * values.shape[1])
