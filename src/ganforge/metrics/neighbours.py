"""Nearest neighbours in feature space, in blocks that fit into memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 1 << 25  # distances held at once: 128 MiB


def block_rows(columns: int) -> int:
    """How many rows of distances to ``columns`` points are held at once."""
    return max(1, min(4096, BLOCK // max(columns, 1)))


def distances(queries: Tensor, points: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield consecutive slices of the queries with their distances, ``rows×len(points)``."""
    rows = block_rows(len(points))
    for start in range(0, len(queries), rows):
        part = slice(start, start + rows)
        yield part, torch.cdist(queries[part], points)


def nearest(queries: Tensor, points: Tensor) -> Tensor:
    """Distance of each query to the nearest point, shape ``N``."""
    return torch.cat([block.min(1).values for _, block in distances(queries, points)])


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
