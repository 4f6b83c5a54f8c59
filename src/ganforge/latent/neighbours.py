"""Does the generator invent or remember? Nearest training images and a score of copying."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.latent.measure import ranks
from ganforge.latent.space import Findings, Sheet, Space
from ganforge.utils.errors import UserError


@dataclass(frozen=True)
class Nearest:
    """Distances and numbers of the nearest rows, both ``N×k``, nearest first."""

    distances: Tensor
    indices: Tensor


def nearest(queries: Tensor, rows: Tensor, k: int = 1) -> Nearest:
    """The ``k`` rows of ``M×D`` nearest to each query of ``N×D`` by Euclidean distance."""
    found = [
        torch.cdist(part, rows, compute_mode="donot_use_mm_for_euclid_dist").topk(
            min(k, len(rows)), largest=False
        )
        for part in queries.split(256)
    ]
    return Nearest(torch.cat([f.values for f in found]), torch.cat([f.indices for f in found]))


@dataclass(frozen=True)
class Copying:
    """How much nearer to the training images samples are than held-out images are.

    ``share``: probability that a random sample is nearer to its nearest training image than a
    random held-out image is to its own; 0.5 says that nothing was copied, 1 that all was.
    ``z``: the same as a normal deviate. Both are of Mann and Whitney's U, as in the data-copying
    test of Meehan et al. 2020, there with the opposite sign and cell by cell.
    """

    share: float
    z: float


def copying(samples: Tensor, held_out: Tensor) -> Copying:
    """Compare distances to the training images, of ``N`` samples and of ``M`` held-out images."""
    n, m = len(samples), len(held_out)
    both = torch.cat([samples, held_out]).double()
    larger = _rank_sum(both, n) - n * (n + 1) / 2  # pairs in which the sample is farther
    share = 1 - larger / (n * m)
    return Copying(share, (share - 0.5) * math.sqrt(12 * n * m / (n + m + 1)))


def _rank_sum(values: Tensor, first: int) -> float:
    """Sum of the ranks of the first values; ties share their mean rank."""
    if len(values) <= 2000:
        return ranks(values)[:first].sum().item()
    _, inverse, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts.double() - 1) / 2)[inverse][:first].sum().item()


@dataclass(frozen=True)
class Neighbours:
    """Shows ``shown`` samples beside their ``k`` nearest training images; scores ``n`` samples."""

    n: int = 2000
    shown: int = 10
    k: int = 6

    def __call__(self, space: Space) -> Findings:
        """Search, draw and score."""
        if not 1 <= self.shown <= self.n:
            raise UserError(f"tool.shown={self.shown} must be between 1 and tool.n={self.n}")
        images = space.images(space.prior.draw(self.n, space.rng()))
        train = space.embed(space.train.images)
        found = nearest(space.embed(images), train, self.k)
        held_out = nearest(space.embed(space.test.images), train).distances[:, 0]
        score = copying(found.distances[:, 0], held_out)
        real = space.train.images[found.indices[: self.shown].flatten()]
        columns = torch.cat(
            [images[: self.shown, None], real.unflatten(0, (self.shown, -1))], 1
        ).flatten(0, 1)
        k = found.indices.shape[1]
        words = ["sample", *(f"near {i + 1}" for i in range(k))]
        return Findings(
            {
                "samples": self.n,
                "held_out": len(held_out),
                "copying_share": score.share,
                "copying_z": score.z,
                "median_distance_of_samples": found.distances[:, 0].median().item(),
                "median_distance_of_held_out": held_out.median().item(),
                "nearest_of_shown": found.indices[: self.shown].tolist(),
            },
            [
                f"a sample is nearer to the training images than a held-out image in "
                f"{score.share:.1%} of pairs (50% without copying; z = {score.z:.1f})"
            ],
            {"neighbours": Sheet(columns, words, [str(i + 1) for i in range(self.shown)])},
        )
