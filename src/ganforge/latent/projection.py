"""Projection: the latent whose image is nearest to a given picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ganforge.latent.perceptual import distance, embed, need_activations
from ganforge.latent.priors import Prior
from ganforge.latent.space import Film, Findings, Sheet, Space
from ganforge.utils.errors import UserError
from ganforge.utils.images import to_float


@dataclass(frozen=True)
class Objective:
    """What a projection minimises for each target, shape ``N``.

    Perceptual distance, ``pixel_weight`` × mean squared difference of pixels in ``[-1, 1]``, and
    ``prior_weight`` × the prior's penalty, which keeps latents where latents lie.
    """

    activations: Callable[[Tensor], Sequence[Tensor]]
    targets: Tensor
    maps: list[Tensor]
    pixel_weight: float
    prior_weight: float
    prior: Prior

    def __call__(self, images: Tensor, z: Tensor) -> Tensor:
        """Score float images of latents ``z``, one a target."""
        look = distance(embed(self.activations, images), self.maps)
        pixels = (images - self.targets).square().mean((1, 2, 3))
        far = self.prior.penalty(z)
        return look + self.pixel_weight * pixels + self.prior_weight * far


@torch.no_grad()
def best_samples(
    space: Space, maps: list[Tensor], z: Tensor, device: torch.device
) -> tuple[Tensor, Tensor]:
    """For each target the latent among ``z`` whose image looks nearest, and its distance."""
    parts = []
    for part in z.split(250):
        images = to_float(space.generate(part).to(device))
        seen = embed(space.activations, images)
        # One target at a time against all samples of the part.
        parts.append(
            torch.stack([distance(seen, [m[i : i + 1] for m in maps]) for i in range(len(maps[0]))])
        )
    distances = torch.cat(parts, 1).cpu()
    best = distances.min(1)
    return z[best.indices], best.values


@dataclass(frozen=True)
class Projection:
    """Searches z for pictures: Adam, from the best of ``candidates`` random samples.

    ``images`` are files, or one; without them, ``count`` held-out images of the data set are taken.
    """

    images: Sequence[str] | str | None = None
    count: int = 32
    candidates: int = 1000
    steps: int = 300
    learning_rate: float = 0.05
    pixel_weight: float = 1.0
    prior_weight: float = 0.1
    shown: int = 8
    frames: int = 30
    watch: Callable[[int, Tensor], None] | None = None
    """Is told of every kept step, and of the latents it has reached."""

    def __call__(self, space: Space) -> Findings:
        """Search, draw and measure against the best random sample."""
        activations = need_activations(space)
        device = next(space.generator.parameters()).device
        targets = self._targets(space)
        floats = to_float(targets.to(device))
        with torch.no_grad():
            maps = [m.detach() for m in embed(activations, floats)]
        candidates = space.prior.draw(self.candidates, space.rng(1))
        start, before = best_samples(space, maps, candidates, device)
        weights = (self.pixel_weight, self.prior_weight)
        objective = Objective(activations, floats, maps, *weights, space.prior)
        z, history = self._search(space, objective, start.to(device))
        found = space.images(z)
        with torch.no_grad():
            after = distance(embed(activations, to_float(found.to(device))), maps).cpu()
        first = space.images(start)
        shown = min(self.shown, len(targets))
        columns = torch.stack([targets[:shown], first[:shown], found[:shown]], 1)
        frames = [torch.cat([targets[:shown], space.images(at[:shown])]) for at in history]
        return Findings(
            self._numbers(z, before, after, self._errors(targets, first, found)),
            [
                f"perceptual distance {after.mean():.4f}, of the best of {self.candidates} samples "
                f"{before.mean():.4f}: {1 - after.mean() / before.mean():.1%} less"
            ],
            {
                "projection": Sheet(
                    columns.flatten(0, 1), ["target", "start", "found"],
                    [str(i + 1) for i in range(shown)],
                ),
                "search": Film(frames, columns=shown, loops=False),
            },
        )  # fmt: skip

    def _targets(self, space: Space) -> Tensor:
        if self.images is not None:
            if not self.images:
                raise UserError("tool.images is an empty list: name picture files")
            paths = [self.images] if isinstance(self.images, str) else self.images
            return torch.stack([space.open_image(path) for path in paths])
        if not 1 <= self.count <= len(space.test):
            raise UserError(
                f"tool.count={self.count} held-out images were asked for: there are "
                f"{len(space.test)}"
            )
        order = torch.randperm(len(space.test), generator=space.rng())
        return space.test.images[order[: self.count]]

    def _search(
        self, space: Space, objective: Objective, start: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Latents found, and those on the way there for the film."""
        z = start.clone().requires_grad_(True)
        optimizer = torch.optim.Adam([z], lr=self.learning_rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, self.steps))
        # Early steps change most: frames are dense at the start.
        kept = {round(self.steps * (i / self.frames) ** 2) for i in range(self.frames)}
        history = []
        for step in range(self.steps):
            if step in kept:
                history.append(z.detach().clone())
                if self.watch is not None:
                    self.watch(step, history[-1])
            loss = objective(space.generator(z), z).sum()
            (z.grad,) = torch.autograd.grad(loss, z)
            optimizer.step()
            schedule.step()
        return z.detach(), [*history, z.detach()]

    @staticmethod
    def _errors(targets: Tensor, first: Tensor, found: Tensor) -> dict[str, float]:
        """Root mean squared difference of pixels in levels of 255."""
        rms = [F.mse_loss(x.float(), targets.float()).sqrt().item() for x in (first, found)]
        return dict(zip(("rms_of_best_sample", "rms"), rms, strict=True))

    def _numbers(
        self, z: Tensor, before: Tensor, after: Tensor, errors: dict[str, float]
    ) -> dict[str, object]:
        return {
            "targets": len(z),
            "candidates": self.candidates,
            "steps": self.steps,
            "distance_of_best_sample": before.mean().item(),
            "distance": after.mean().item(),
            "reduction": 1 - (after.mean() / before.mean()).item(),
            "distances": after.tolist(),
            "distances_of_best_samples": before.tolist(),
            "z": z.cpu().tolist(),
            **errors,
        }
