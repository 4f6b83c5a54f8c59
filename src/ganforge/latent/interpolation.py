"""Lines through latent space: from one image, or one kind of image, to another."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ganforge.latent.groups import Operand, find_groups
from ganforge.latent.measure import Ridge, spearman
from ganforge.latent.perceptual import Activations, distance, embed
from ganforge.latent.priors import lerp, slerp
from ganforge.latent.space import Film, Findings, Sheet, Space
from ganforge.utils.errors import UserError

__all__ = [
    "Interpolation",
    "lerp",
    "path_lengths",
    "slerp",
]  # configurations name lerp and slerp here

Path = Callable[[Tensor, Tensor, Tensor], Tensor]
TAIL = 0.01  # of the path lengths, at either end, is left out of their mean


@torch.no_grad()
def path_lengths(
    activations: Activations,
    generator: nn.Module,
    path: Path,
    a: Tensor,
    b: Tensor,
    rng: torch.Generator,
    epsilon: float = 1e-3,
) -> Tensor:
    """d(G(path(t)), G(path(t + ε))) / ε² at one random t a pair (Karras et al. 2019), shape ``N``.

    d is ``perceptual.distance``: the values are not those of VGG's LPIPS. Images stay floats here:
    a step of ε changes less than one of 256 levels.
    """
    lengths = []
    t = torch.rand(len(a), generator=rng) * (1 - epsilon)
    for za, zb, part in zip(a.split(50), b.split(50), t.split(50), strict=True):
        device = next(iter(generator.parameters()), za).device
        ends = [path(za, zb, part).to(device), path(za, zb, part + epsilon).to(device)]
        one, other = [embed(activations, generator(z)) for z in ends]
        lengths.append(distance(one, other).double().cpu() / epsilon**2)
    return torch.cat(lengths)


def perceptual_path_length(
    space: Space, path: Path, a: Tensor, b: Tensor, rng: torch.Generator, epsilon: float = 1e-3
) -> float:
    """The mean of ``path_lengths`` without their tails, in a space with feature maps."""
    lengths = path_lengths(space.activations, space.generator, path, a, b, rng, epsilon)
    return without_tails(lengths)


def without_tails(lengths: Tensor) -> float:
    """The mean without the shortest and the longest hundredth, as Karras et al. 2019 take it."""
    low = lengths.quantile(TAIL, interpolation="lower")
    high = lengths.quantile(1 - TAIL, interpolation="higher")
    return lengths[(lengths >= low) & (lengths <= high)].mean().item()


def regressor(space: Space, attribute: str) -> tuple[Ridge, dict[str, float]]:
    """Fit an attribute's value number to real training images; measured on held-out ones."""
    if attribute not in space.train.labels:
        known = ", ".join(space.train.labels) or "none"
        raise UserError(f"the real images have no attribute {attribute!r}: there are {known}")
    ridge = Ridge.fit(space.embed(space.train.images), space.train.labels[attribute])
    truth = space.test.labels[attribute].double()
    error = ridge(space.embed(space.test.images)) - truth
    explained = 1 - error.square().mean() / truth.var(correction=0)
    return ridge, {"held_out_mae": error.abs().mean().item(), "held_out_r2": explained.item()}


@dataclass(frozen=True)
class Interpolation:
    """Walks from ``a`` to ``b`` along each path, in ``steps`` stops, for ``pairs`` pairs of ends.

    ``a`` and ``b`` are queries, whose ends are means of ``n`` samples out of ``pool``, or equally
    long lists of seeds, one pair each; ``rescale`` stretches means to the length that latents have,
    without which their images are bland. ``measure`` names an attribute of the real images: does it
    rise along the way? ``path_length`` counts pairs of random latents for the path length.
    """

    a: Operand
    b: Operand
    paths: Mapping[str, Path]
    steps: int = 9
    pairs: int = 20
    shown: int = 6
    n: int = 10
    pool: int = 4000
    confidence: float = 0.0
    rescale: bool = True
    measure: str | None = None
    frames: int = 24
    path_length: int = 500

    def __call__(self, space: Space) -> Findings:
        """Walk, draw and measure."""
        if not space.prior.arcs and (arcs := [n for n, p in self.paths.items() if p is slerp]):
            straight = {n: p for n, p in self.paths.items() if p is not slerp}
            if not straight:
                raise UserError("styles lie on no sphere: tool.paths needs a path that is no arc")
            found = replace(self, paths=straight)(space)
            note = f"{', '.join(arcs)}: left out, because styles lie on no sphere"
            return replace(found, lines=[*found.lines, note])
        a, b = self._ends(space)
        t = torch.linspace(0, 1, self.steps)
        walks = {
            name: torch.stack([path(a, b, at) for at in t], 1) for name, path in self.paths.items()
        }
        images = {name: space.images(walk.flatten(0, 1)) for name, walk in walks.items()}
        numbers = {name: self._numbers(space, path) for name, path in self.paths.items()}
        if self.measure is not None:
            ridge, quality = regressor(space, self.measure)
            for name, pictures in images.items():
                values = ridge(space.embed(pictures)).reshape(len(a), self.steps)
                numbers[name] |= {
                    "spearman": spearman(values).mean().item(),
                    "spearman_of_pairs": spearman(values).tolist(),
                    "mean_of_stops": values.mean(0).tolist(),
                }
            numbers["regressor"] = {"attribute": self.measure, **quality}
        return Findings(
            {"pairs": len(a), "steps": self.steps, **numbers},
            [self._line(name, numbers[name]) for name in self.paths],
            self._pictures(space, images, a, b),
        )

    def _ends(self, space: Space) -> tuple[Tensor, Tensor]:
        if self.steps < 2:
            raise UserError(f"tool.steps={self.steps} is too few: a walk has at least 2 stops")
        groups = find_groups(space, [self.a, self.b], self.pool, self.confidence, space.rng())
        rng, lists = space.rng(1), [group.query is None for group in groups]
        if all(lists):
            a, b = (group.z for group in groups)
            if len(a) != len(b):
                raise UserError(
                    f"tool.a has {len(a)} seeds and tool.b {len(b)}: give as many of both"
                )
            return a, b
        a, b = (group.means(self.pairs, self.n, rng) for group in groups)
        return (space.prior.stretch(a), space.prior.stretch(b)) if self.rescale else (a, b)

    def _numbers(self, space: Space, path: Path) -> dict[str, float]:
        """Path length between random latents: the prior's, not that of the chosen ends."""
        if space.activations is None or not self.path_length:
            return {}
        rng = space.rng(2)
        a, b = space.prior.draw(self.path_length, rng), space.prior.draw(self.path_length, rng)
        return {"perceptual_path_length": perceptual_path_length(space, path, a, b, rng)}

    def _line(self, name: str, numbers: dict[str, float]) -> str:
        parts = []
        if "perceptual_path_length" in numbers:
            parts.append(f"perceptual path length {numbers['perceptual_path_length']:.4g}")
        if "spearman" in numbers:
            parts.append(f"{self.measure} rises with Spearman {numbers['spearman']:.3f}")
        return f"{name}: {', '.join(parts) or 'drawn'}"

    def _pictures(
        self, space: Space, images: dict[str, Tensor], a: Tensor, b: Tensor
    ) -> dict[str, Sheet | Film]:
        shown = min(self.shown, len(a))
        stops = [f"{t:.2g}" for t in torch.linspace(0, 1, self.steps).tolist()]
        rows = [str(pair + 1) for pair in range(shown)]
        pictures = {
            name: Sheet(pictures[: shown * self.steps], stops, rows)
            for name, pictures in images.items()
        }
        for name, path in self.paths.items():
            # There and back, slow at the ends: the last frame is followed by the first.
            phase = torch.arange(self.frames) * (2 * torch.pi / self.frames)
            films = [path(a[:shown], b[:shown], (1 - at.cos()) / 2) for at in phase]
            frames = space.images(torch.cat(films)).split(shown)
            # As wide as four, in rows as equal as can be: six are two rows of three.
            pictures[f"{name}_film"] = Film(frames, math.ceil(shown / math.ceil(shown / 4)))
        return pictures
