"""Toy distributions of the theory: rows of float32 ``N×D``, the same for the same seed."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ganforge.data.source import SPLITS, Chunk, Names
from ganforge.utils.errors import UserError


class Gaussian1D:
    """The normal distribution N(mean, std²) of Goodfellow et al. 2014, figure 1."""

    label = None

    def __init__(
        self,
        mean: float = 0.0,
        std: float = 1.0,
        train_count: int = 100_000,
        test_count: int = 10_000,
        seed: int = 0,
    ) -> None:
        _check_toy(std, train_count, test_count)
        self.mean, self.std, self.seed = mean, std, seed
        self._counts = dict(zip(SPLITS, (train_count, test_count), strict=True))

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse an image size: a toy has none."""
        _refuse_size(size, channels)

    def key(self) -> dict[str, Any]:
        """Return the parameters."""
        return {"toy": "gaussian1d", "mean": self.mean, "std": self.std} | _draws(self)

    def chunks(
        self,
        split: str,
        size: int | None,  # noqa: ARG002 (toys have no size)
        channels: int | None,  # noqa: ARG002
    ) -> Iterator[Chunk]:
        """Yield all rows ``N×1`` at once."""
        rng = np.random.default_rng([self.seed, SPLITS.index(split)])
        rows = self.mean + self.std * rng.standard_normal((self._counts[split], 1))
        yield Chunk(rows.astype(np.float32))

    def names(self) -> Names:
        """Return nothing: there are no classes."""
        return Names()

    def density(self, x: np.ndarray) -> np.ndarray:
        """Return the probability density at ``x``."""
        z = (np.asarray(x) - self.mean) / self.std
        return np.exp(-0.5 * z**2) / (self.std * math.sqrt(2 * math.pi))


class Mixture2D:
    """Equal Gaussians around ``centers``, the outermost at ``radius``; the label is the mode."""

    label = None
    title = "mixture2d"

    def __init__(
        self,
        centers: np.ndarray,
        std: float = 0.05,
        train_count: int = 100_000,
        test_count: int = 10_000,
        seed: int = 0,
    ) -> None:
        _check_toy(std, train_count, test_count)
        self._centers = centers
        self.radius = float(np.abs(centers).max())
        self.std, self.seed = std, seed
        self._counts = dict(zip(SPLITS, (train_count, test_count), strict=True))

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse an image size: a toy has none."""
        _refuse_size(size, channels)

    def facts(self) -> dict[str, Any]:
        """Return the parameters that decide the centers."""
        raise NotImplementedError

    def key(self) -> dict[str, Any]:
        """Return the parameters."""
        return {"toy": self.title, **self.facts(), "std": self.std} | _draws(self)

    def centers(self) -> np.ndarray:
        """Return the means of the modes, float64 ``modes×2``."""
        return self._centers

    def chunks(
        self,
        split: str,
        size: int | None,  # noqa: ARG002 (toys have no size)
        channels: int | None,  # noqa: ARG002
    ) -> Iterator[Chunk]:
        """Yield all rows ``N×2`` at once, labelled with the mode they were drawn from."""
        rng = np.random.default_rng([self.seed, SPLITS.index(split)])
        labels = rng.integers(len(self._centers), size=self._counts[split])
        rows = self._centers[labels] + self.std * rng.standard_normal((len(labels), 2))
        yield Chunk(rows.astype(np.float32), labels)

    def names(self) -> Names:
        """Name the modes by their number."""
        return Names(classes=[str(mode) for mode in range(len(self._centers))])


class Ring2D(Mixture2D):
    """Gaussians on a circle (Metz et al. 2017, section 3.1)."""

    title = "ring2d"

    def __init__(self, modes: int = 8, radius: float = 2.0, **options: Any) -> None:
        if modes < 1 or radius <= 0:
            raise UserError(
                f"ring2d has {modes} modes and radius {radius}: at least one mode and a radius "
                "above 0 are needed."
            )
        angles = 2 * np.pi * np.arange(modes) / modes
        super().__init__(radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), **options)
        self.modes, self.radius = modes, radius

    def facts(self) -> dict[str, Any]:
        """Return how many modes lie how far out."""
        return {"modes": self.modes, "radius": self.radius}


class Grid2D(Mixture2D):
    """Gaussians on a square grid around 0 (Srivastava et al. 2017, VEEGAN: 5×5, 2 apart)."""

    title = "grid2d"

    def __init__(self, side: int = 5, spacing: float = 2.0, **options: Any) -> None:
        if side < 1 or spacing <= 0:
            raise UserError(
                f"grid2d has {side} modes a side, {spacing} apart: at least one mode and a spacing "
                "above 0 are needed."
            )
        line = spacing * (np.arange(side) - (side - 1) / 2)
        grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
        super().__init__(grid, **options)
        self.side, self.spacing = side, spacing

    def facts(self) -> dict[str, Any]:
        """Return how many modes a side lie how far apart."""
        return {"side": self.side, "spacing": self.spacing}


def _draws(toy: Gaussian1D | Mixture2D) -> dict[str, Any]:
    return {"counts": toy._counts, "seed": toy.seed}


def _check_toy(std: float, *counts: int) -> None:
    if std <= 0 or min(counts) < 1:
        raise UserError(
            f"A toy distribution with std {std} and {' and '.join(map(str, counts))} samples is "
            "impossible: std must be above 0 and each count at least 1."
        )


def _refuse_size(size: int | None, channels: int | None) -> None:
    if size is not None or channels is not None:
        raise UserError(
            "A toy distribution has no data.size and no data.channels: leave both unset."
        )
