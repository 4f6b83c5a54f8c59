"""A walk from picture to picture: through the latents of seeds, one after another."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.latent.priors import Prior
from ganforge.latent.space import Film, Findings, Sheet, Space
from ganforge.utils.errors import UserError


def between(prior: Prior, keys: Tensor, at: float) -> Tensor:
    """The latent ``1×D`` at a place of the walk through ``keys`` ``N×D``, from 0 to N - 1."""
    last = len(keys) - 1
    first = min(int(at), max(0, last - 1))
    t = torch.tensor([min(max(at - first, 0.0), 1.0)])
    return prior.path(keys[first : first + 1], keys[min(first + 1, last)][None], t)


@dataclass(frozen=True)
class Walk:
    """Walks through the latents of ``seeds``, ``frames`` pictures from each to the next.

    Slow at each of them; ``loops`` walks back to the first.
    """

    seeds: Sequence[int]
    frames: int = 24
    loops: bool = True

    def __call__(self, space: Space) -> Findings:
        """Draw the film and the pictures that it leads through."""
        if len(self.seeds) < 2:
            raise UserError(f"tool.seeds={list(self.seeds)}: a walk leads through at least 2 seeds")
        keys = space.of_seeds(self.seeds)
        route = torch.cat([keys, keys[:1]]) if self.loops else keys
        stretches, phase = len(route) - 1, torch.arange(self.frames) / self.frames * torch.pi
        slow = ((1 - phase.cos()) / 2).tolist()
        places = [stretch + t for stretch in range(stretches) for t in slow]
        places += [] if self.loops else [float(stretches)]
        latents = torch.cat([between(space.prior, route, at) for at in places])
        frames = space.images(latents).split(1)
        stops = [f"seed {seed}" for seed in self.seeds]
        return Findings(
            {"seeds": list(self.seeds), "frames": len(frames)},
            [f"{len(frames)} frames through {len(self.seeds)} pictures"],
            {"stops": Sheet(space.images(keys), stops, [""]), "walk": Film(frames, 1, self.loops)},
        )
