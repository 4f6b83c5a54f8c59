"""Nearest neighbours in feature space in blocks that fit into memory, and a score of copying."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Nearest:
    """Distances and numbers of the nearest rows, both ``N×k``, nearest first."""

    distances: Tensor
    indices: Tensor


def nearest(queries: Tensor, rows: Tensor, k: int = 1) -> Nearest:
    """The ``k`` rows of ``M×D`` nearest to each query of ``N×D`` by Euclidean distance."""
    found = []
    for part, block in distances(queries, rows):
        chosen = block.topk(min(k, len(rows)), largest=False).indices
        # Exact: distances by a matrix product make copies differ from their originals.
        pairs = zip(queries[part].split(64), chosen.split(64), strict=True)
        exact = torch.cat([(rows[i] - one[:, None]).norm(dim=2) for one, i in pairs])
        order = exact.argsort(dim=1, stable=True)
        found.append((exact.gather(1, order), chosen.gather(1, order)))
    return Nearest(*(torch.cat(column) for column in zip(*found, strict=True)))


@dataclass(frozen=True)
class Copying:
    """How much nearer to the training images samples are than held-out images are.

    ``share``: probability that a random sample is nearer to its nearest training image than a
    random held-out image is to its own; 0.5 says that nothing was copied, 1 that all was.
    ``z``: the same as a normal deviate. Both are of Mann and Whitney's U, as in the data-copying
    test of Meehan et al. 2020, there with the opposite sign and cell by cell. ``samples`` and
    ``held_out`` are what each image contributes: shares of the other side, ties as one half.
    """

    samples: Tensor
    held_out: Tensor

    @property
    def share(self) -> float:
        """The mean over pairs."""
        return self.samples.mean().item()

    @property
    def z(self) -> float:
        """Its normal deviate."""
        n, m = len(self.samples), len(self.held_out)
        return (self.share - 0.5) * math.sqrt(12 * n * m / (n + m + 1))


def copying(samples: Tensor, held_out: Tensor) -> Copying:
    """Compare distances to the training images, of ``N`` samples and of ``M`` held-out images."""
    return Copying(1 - _below(samples, held_out), _below(held_out, samples))


def _below(values: Tensor, others: Tensor) -> Tensor:
    """For each value the share of the others that are smaller, equal ones as one half."""
    ordered, values = others.double().sort().values, values.double()
    sides = (torch.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return sum(side.double() for side in sides) / 2 / len(ordered)
