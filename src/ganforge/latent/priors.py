"""What latent tools know of latents: how they are drawn, how they lie, how far is far."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from ganforge.utils.seeds import picture_rng, torch_rng

STYLES = 10_000  # styles that the mean and the spread of a mapped prior are taken from


class Prior(Protocol):
    """A distribution of latents ``N×size`` that a generator reads."""

    arcs: ClassVar[bool]  # whether points on an arc between latents are as typical as its ends

    @property
    def size(self) -> int:
        """Numbers in a latent."""
        ...

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """``count×size`` latents, on the device of ``rng``."""
        ...

    def stretch(self, latents: Tensor) -> Tensor:
        """Put means of latents where latents lie."""
        ...

    def penalty(self, latents: Tensor) -> Tensor:
        """How far each latent lies from where latents lie, shape ``N``: smaller is more typical."""
        ...

    def spread(self, directions: Tensor) -> Tensor:
        """Length of one standard deviation along each direction ``N×size`` of length 1, ``N×1``."""
        ...

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Points from ``a`` to ``b`` (``N×size``) at ``t`` (``N`` or a scalar) among latents."""
        ...

    def truncate(self, latents: Tensor, threshold: float) -> Tensor:
        """More typical latents, the smaller ``threshold`` is: less variety, fewer failures."""
        ...


def of_seeds(prior: Prior, seeds: Iterable[int]) -> Tensor:
    """One latent a seed, ``len(seeds)×size``: a seed names its picture for ever."""
    return torch.cat([prior.draw(1, picture_rng(int(seed))) for seed in seeds])


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Points on the straight line from ``a`` to ``b`` (``N×D``) at ``t`` (``N`` or a scalar)."""
    t = t.reshape(-1, 1)
    return a + t * (b - a)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Points on the arc from ``a`` to ``b`` (Shoemake 1985); the length goes straight."""
    t = t.reshape(-1, 1)
    long_a, long_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    a, b = a / long_a.clamp_min(1e-12), b / long_b.clamp_min(1e-12)
    # Angles in double: near 0 and 180 degrees the arc cosine loses half of the digits.
    cosine = (a.double() * b.double()).sum(1, keepdim=True).clamp(-1, 1)
    angle = cosine.arccos()
    sine = angle.sin()
    straight = sine < 1e-6
    sine = torch.where(straight, torch.ones_like(sine), sine)
    weight_a = torch.where(straight, 1 - t, ((1 - t) * angle).sin() / sine).to(a.dtype)
    weight_b = torch.where(straight, t, (t * angle).sin() / sine).to(a.dtype)
    return (weight_a * a + weight_b * b) * (long_a + t * (long_b - long_a))


def to_shell(z: Tensor) -> Tensor:
    """Stretch latents to the length that normal latents of their dimension have: √D."""
    return z * (z.shape[1] ** 0.5 / z.norm(dim=1, keepdim=True).clamp_min(1e-12))


@dataclass(frozen=True)
class Normal:
    """Standard normal latents z: in many dimensions nearly all have the length √size."""

    arcs: ClassVar[bool] = True
    size: int

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """N(0, 1)."""
        return torch.randn(count, self.size, generator=rng, device=rng.device)

    def stretch(self, latents: Tensor) -> Tensor:
        """To the length √size: a mean of many is shorter, and its image bland."""
        return to_shell(latents)

    def penalty(self, latents: Tensor) -> Tensor:
        """(‖z‖²/size - 1)²."""
        return (latents.square().mean(1) - 1).square()

    def spread(self, directions: Tensor) -> Tensor:
        """One in every direction."""
        return torch.ones(len(directions), 1)

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Along the arc: the straight line would pass through short, untypical latents."""
        return slerp(a, b, t)

    def truncate(self, latents: Tensor, threshold: float) -> Tensor:
        """Latents of the normal distribution cut off at ±``threshold`` (Brock et al. 2019).

        Instead of drawing again, the distribution function maps each number, so that a seed keeps
        its character.
        """
        edge = torch.special.ndtr(torch.tensor(-threshold, dtype=torch.float64))
        share = edge + (1 - 2 * edge) * torch.special.ndtr(latents.double())
        return torch.special.ndtri(share).to(latents.dtype)


@dataclass(frozen=True)
class Mapped:
    """Styles w = ``mapping(z)`` of a generator that maps its latents first (Karras et al. 2019).

    Styles lie where the mapping learned to put them: a mean of styles is a style.
    """

    arcs: ClassVar[bool] = False
    mapping: Callable[[Tensor], Tensor]
    prior: Prior

    @property
    def size(self) -> int:
        """Numbers in a style."""
        return self._styles.shape[1]

    @cached_property
    def _styles(self) -> Tensor:
        return self.draw(STYLES, torch_rng(0, 0, "styles")).cpu()

    @cached_property
    def mean(self) -> Tensor:
        """The mean style, shape ``size``."""
        return self._styles.mean(0)

    @cached_property
    def std(self) -> Tensor:
        """Standard deviation of each number of a style, shape ``size``."""
        return self._styles.std(0).clamp_min(1e-12)

    @torch.no_grad()
    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """Styles of latents of the prior."""
        return self.mapping(self.prior.draw(count, rng))

    def stretch(self, latents: Tensor) -> Tensor:
        """As they are."""
        return latents

    def penalty(self, latents: Tensor) -> Tensor:
        """Mean squared distance from the mean style in standard deviations."""
        mean, std = self.mean.to(latents.device), self.std.to(latents.device)
        return ((latents - mean) / std).square().mean(1)

    def spread(self, directions: Tensor) -> Tensor:
        """Standard deviation of 10,000 styles along each direction."""
        centred = self._styles - self.mean
        return (centred @ directions.cpu().T).std(0)[:, None]

    def path(self, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Straight."""
        return lerp(a, b, t)

    def truncate(self, latents: Tensor, threshold: float) -> Tensor:
        """Towards the mean style: ``threshold`` is ψ of Karras et al. 2019."""
        mean = self.mean.to(latents.device)
        return mean + threshold * (latents - mean)
