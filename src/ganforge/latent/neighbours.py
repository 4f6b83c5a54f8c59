"""Does the generator invent or remember? Nearest training images and a score of copying."""

from dataclasses import dataclass

import torch

from ganforge.latent.space import Findings, Sheet, Space
from ganforge.utils.errors import UserError
from ganforge.utils.neighbours import copying, nearest


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
