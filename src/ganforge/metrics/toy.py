"""Scores of the toy distributions, whose truth is known."""

from dataclasses import dataclass

import torch
from torch import Tensor


def wasserstein1(a: Tensor, b: Tensor) -> float:
    """Wasserstein-1 distance of two samples of numbers, in their unit."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(a.flatten().cpu().numpy(), b.flatten().cpu().numpy()))


@dataclass(frozen=True)
class Coverage:
    """How a sample lies among known modes.

    ``covered`` counts modes that got a twentieth of their fair share of good samples or more;
    a good sample lies within three standard deviations of a mode, ``good_share`` do.
    """

    covered: int
    good_share: float


def mode_coverage(points: Tensor, centers: Tensor, std: float) -> Coverage:
    """Count the modes that points ``N×2`` cover; ``centers`` is ``M×2`` (Metz et al. 2017)."""
    distance, nearest = torch.cdist(points.double(), centers.double()).min(1)
    good = distance <= 3 * std
    per_mode = torch.bincount(nearest[good], minlength=len(centers))
    fair = len(points) / len(centers)
    return Coverage(int((per_mode >= fair / 20).sum()), float(good.double().mean()))
