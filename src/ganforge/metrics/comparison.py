"""What metrics look at: generated and real features, and what several metrics need of both."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from ganforge.metrics import bootstrap
from ganforge.metrics.bootstrap import Interval
from ganforge.metrics.features import Features
from ganforge.metrics.frechet import Moments, frechet_distance, moments
from ganforge.metrics.mmd import Estimate, squared_mmd, squared_mmd_of_pairs
from ganforge.metrics.neighbours import density_and_coverage
from ganforge.metrics.protocol import Settings
from ganforge.metrics.statistics import RealFeatures
from ganforge.utils.errors import UserError
from ganforge.utils.neighbours import Nearest, block_rows, nearest

Heads = Callable[[Tensor], dict[str, Tensor]]  # from features to the logits of each attribute


@dataclass(frozen=True)
class Value:
    """What a metric says: the value, its own spread, a 95 % interval, the settings, warnings.

    ``details`` are parts of the value or beside it, by name: the distance of each class.
    ``n_real`` is the number of real images that it looked at, where these were not all.
    """

    value: float
    std: float | None = None
    settings: Settings = ()
    notes: tuple[str, ...] = ()
    interval: Interval | None = None
    details: dict[str, float] = field(default_factory=dict)
    n_real: int | None = None


@runtime_checkable
class Metric(Protocol):
    """A value computed from features: a small frozen object whose fields are its settings.

    ``name`` begins the score's name, ``paired`` says whether it looks at real images. One that
    reads logits says so by ``reads_logits = True``: they are kept for nobody else. One that needs
    the data set's own classifier says so by ``reads_heads = True``: it is measured nowhere else.
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

    ``real`` stands for the data: as many images as there are, for what has a bias in their number.
    ``tied`` says that image i of both sides belongs together, as a translation and its truth do.
    ``heads`` reads the attributes of the data set's own classifier. What is costly and used twice
    is kept here.
    """

    real: RealFeatures | None
    fake: Features
    training: RealFeatures | None = None
    held_out: RealFeatures | None = None
    tied: bool = False
    heads: Heads | None = None
    results: dict[tuple, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def fewest(self) -> int:
        """The number of images of the smaller side."""
        return min(len(self.real), len(self.fake))

    def peers(self, most: int | None = None) -> Tensor:
        """At most ``most`` real features at random; None: as many as there are generated ones.

        For what compares like with like: balls around neighbours shrink with the number of images.
        """
        features = self.real.features.features
        most = len(self.fake) if most is None else most
        if self.tied or self.real.seed is None or len(features) <= most:
            return features
        order = np.random.default_rng([self.real.seed, len(features)]).permutation(len(features))
        return features[torch.from_numpy(order[:most])]

    @cached_property
    def fake_moments(self) -> Moments:
        """Mean and covariance of the generated features."""
        return moments(self.fake.features)

    @kept
    def frechet_variance(self, replicates: int) -> bootstrap.Parts:
        """Variance of FID from ``replicates`` sets: random halves of the images and what is left.

        Sets without repetitions, as these would bias FID. Tied sides are halved alike.
        """
        halves = bootstrap.halves(len(self.fake), replicates // 2)
        told = [self.frechet_of(pair, self.tied) for pair in halves]
        return bootstrap.of_halves(np.stack(told))

    def frechet_of(self, subsets: Any, both: bool = False) -> np.ndarray:
        """FID of each subset of the generated features, given by its indices; or of ``both``."""
        fake, real = self.fake.features, self.real.features.features
        return np.array(
            [
                frechet_distance(
                    moments(real, chosen) if both else self.real.moments, moments(fake, chosen)
                )
                for chosen in subsets
            ]
        )

    def squared_mmd(self, most_real: int) -> Estimate:
        """Squared MMD over all pairs of generated images and of at most ``most_real`` real ones."""
        peers = self.peers(most_real)
        if self.tied:
            return squared_mmd_of_pairs(self.fake.features, peers)
        return squared_mmd(self.fake.features, peers, self.real.kernel_within(most_real, peers))

    @kept
    def precision_recall(self, k: int) -> tuple[float, float]:
        """Share of generated images near real ones, and the reverse."""
        from torch_fidelity.metric_prc import (
            KEY_METRIC_PRECISION,
            KEY_METRIC_RECALL,
            prc_features_to_metric,
        )

        need_images(self.fewest, k + 1, "precision and recall")
        real = self.peers()
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
    def in_training(self) -> Nearest:
        """The training image that is nearest to each generated one."""
        return nearest(self.fake.features, self.training.features.features)

    @kept
    def density_coverage(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Density of every generated image, and whether each real one is reached."""
        need_images(self.fewest, k + 1, "density and coverage")
        density, reached = density_and_coverage(self.peers(), self.fake.features, k)
        return density.numpy(), reached.numpy()


def need_images(count: int, least: int, metric: str) -> None:
    """Raise a UserError if a metric has too few images to be defined."""
    if count < least:
        raise UserError(f"{metric} needs at least {least} images on each side, got {count}.")
