"""Balls around real images and what lies in them."""

import torch
from torch import Tensor

from ganforge.utils.neighbours import distances


def radii(points: Tensor, k: int) -> Tensor:
    """Distance of each point to its ``k``-th nearest other one, shape ``N``."""
    # The point itself is the first of k + 1.
    return torch.cat([block.kthvalue(k + 1, 1).values for _, block in distances(points, points)])


def density_and_coverage(real: Tensor, fake: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Per generated image: in how many real balls it lies, over k. Per real one: is it reached?

    A ball around a real image ends at its k-th neighbour (Naeem et al. 2020, eqs. 5 and 6).
    """
    ends = radii(real, k)
    inside = []
    reached = torch.zeros(len(real), dtype=torch.bool)
    for _, block in distances(fake, real):
        within = block < ends
        inside.append(within.sum(1) / k)
        reached |= within.any(0)
    return torch.cat(inside), reached
