"""What metrics look at: generated and real features, and what several metrics need of both."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, ClassVar, Protocol

import numpy as np

from ganforge.metrics.bootstrap import Interval, resample
from ganforge.metrics.features import Features
from ganforge.metrics.frechet import Moments, frechet_distance, moments
from ganforge.metrics.neighbours import block_rows, density_and_coverage
from ganforge.metrics.protocol import Settings
from ganforge.metrics.statistics import RealFeatures
from ganforge.utils.errors import UserError


@dataclass(frozen=True)
class Value:
    """What a metric says: the value, its own spread, a 95 % interval, the settings, warnings.

    ``details`` are parts of the value or beside it, by name: the distance of each class.
    """

    value: float
    std: float | None = None
    settings: Settings = ()
    notes: tuple[str, ...] = ()
    interval: Interval | None = None
    details: dict[str, float] = field(default_factory=dict)


class Metric(Protocol):
    """A value computed from features: a small frozen object whose fields are its settings.

    ``name`` begins the score's name, ``paired`` says whether it looks at real images. One that
    reads logits says so by ``reads_logits = True``: they are kept for nobody else.
    """

    name: ClassVar[str]
    paired: ClassVar[bool]

    def __call__(self, sides: "Comparison") -> Value:
        """Compute the value; ``sides.real`` is given if ``paired``."""
        ...


def kept(method: Callable) -> Callable:
    """Keep results in ``self.results``: functools.cache would keep the object itself for ever."""

    @wraps(method)
    def looked_up(self: "Comparison", *arguments: Any) -> Any:
        key = method.__name__, *arguments
        if key not in self.results:
            self.results[key] = method(self, *arguments)
        return self.results[key]

    return looked_up


@dataclass(frozen=True, eq=False)
class Comparison:
    """Features of both sides; ``training`` and ``held_out`` are whole splits, for memorisation.

    What is costly and used twice is kept here.
    """

    real: RealFeatures | None
    fake: Features
    training: RealFeatures | None = None
    held_out: RealFeatures | None = None
    results: dict[tuple, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def fewest(self) -> int:
        """The number of images of the smaller side."""
        return min(len(self.real), len(self.fake))

    @cached_property
    def fake_moments(self) -> Moments:
        """Mean and covariance of the generated features."""
        return moments(self.fake.features)

    @kept
    def frechet_replicates(self, count: int) -> np.ndarray:
        """FIDs of ``count`` bootstrapped sets of generated features."""
        return self.frechet_of(resample(len(self.fake), count, seed=0))

    def frechet_of(self, subsets: Any) -> np.ndarray:
        """FID of each subset of the generated features, given by its indices."""
        features, real = self.fake.features, self.real.moments
        return np.array([frechet_distance(real, moments(features, chosen)) for chosen in subsets])

    @kept
    def precision_recall(self, k: int) -> tuple[float, float]:
        """Share of generated images near real ones, and the reverse."""
        from torch_fidelity.metric_prc import (
            KEY_METRIC_PRECISION,
            KEY_METRIC_RECALL,
            prc_features_to_metric,
        )

        need_images(self.fewest, k + 1, "precision and recall")
        real = self.real.features.features
        told = prc_features_to_metric(
            self.fake.features,
            real,
            prc_neighborhood=k,
            prc_batch_size=block_rows(max(len(real), len(self.fake))),
            save_cpu_ram=True,
            verbose=False,
        )
        return told[KEY_METRIC_PRECISION], told[KEY_METRIC_RECALL]

    @kept
    def density_coverage(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Density of every generated image, and whether each real one is reached."""
        need_images(len(self.real), k + 1, "density and coverage")
        density, reached = density_and_coverage(self.real.features.features, self.fake.features, k)
        return density.numpy(), reached.numpy()


def need_images(count: int, least: int, metric: str) -> None:
    """Raise a UserError if a metric has too few images to be defined."""
    if count < least:
        raise UserError(f"{metric} needs at least {least} images on each side, got {count}.")
