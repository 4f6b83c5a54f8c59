"""Fidelity and diversity apart: precision, recall, density, coverage; and memorisation."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from ganforge.metrics import bootstrap
from ganforge.metrics.comparison import Comparison, Value, need_images
from ganforge.utils.errors import UserError
from ganforge.utils.neighbours import copying, nearest

SEED = 0  # of the intervals' resampling


def neighbourly(
    metric: Any, sides: Comparison, value: float, interval: bootstrap.Interval | None = None
) -> Value:
    """A value of neighbourhoods, which looked at as many real images as generated ones.

    Recall and coverage have no interval: an image that is drawn twice reaches nothing new, and
    leaving some out overstates the spread by half.
    """
    settings = tuple(asdict(metric).items())
    return Value(value, settings=settings, interval=interval, n_real=len(sides.peers()))


@dataclass(frozen=True)
class Precision:
    """Share of generated images within a real one's ``neighbourhood`` (Kynkäänniemi et al. 2019).

    Features are those of the chosen extractor; the paper's are VGG-16's.
    """

    neighbourhood: int = 3
    name: ClassVar[str] = "precision"
    paired: ClassVar[bool] = True

    def __call__(self, sides: Comparison) -> Value:
        """Higher is better, at most 1: the pictures look real."""
        value, _ = sides.precision_recall(self.neighbourhood)
        interval = None if sides.tied else bootstrap.of_share(value, len(sides.fake))
        return neighbourly(self, sides, value, interval)


@dataclass(frozen=True)
class Recall:
    """Share of real images within a generated one's ``neighbourhood`` (same paper)."""

    neighbourhood: int = 3
    name: ClassVar[str] = "recall"
    paired: ClassVar[bool] = True

    def __call__(self, sides: Comparison) -> Value:
        """Higher is better, at most 1: nothing real is missing."""
        _, value = sides.precision_recall(self.neighbourhood)
        return neighbourly(self, sides, value)


@dataclass(frozen=True)
class Density:
    """In how many real neighbourhoods a generated image lies, over k (Naeem et al. 2020)."""

    neighbourhood: int = 5
    name: ClassVar[str] = "density"
    paired: ClassVar[bool] = True

    def __call__(self, sides: Comparison) -> Value:
        """Higher is better; 1 is expected of real images, more is possible. Outliers count less."""
        density, _ = sides.density_coverage(self.neighbourhood)
        interval = None if sides.tied else bootstrap.of_mean(density, SEED)
        return neighbourly(self, sides, float(density.mean()), interval)


@dataclass(frozen=True)
class Coverage:
    """Share of real images whose neighbourhood holds a generated one (Naeem et al. 2020)."""

    neighbourhood: int = 5
    name: ClassVar[str] = "coverage"
    paired: ClassVar[bool] = True

    def __call__(self, sides: Comparison) -> Value:
        """Higher is better, at most 1."""
        _, reached = sides.density_coverage(self.neighbourhood)
        value = float(reached.mean())
        return neighbourly(self, sides, value)


@dataclass(frozen=True)
class Memorisation:
    """Chance that a generated image is nearer to the training set than a held-out image is.

    Both distances go to the nearest training image, of the whole training split. This is the
    Mann-Whitney statistic of Meehan et al. 2020 over one cell, as a share: ½ is expected of new
    images, 1 of copies; below ½ the generated images are farther from the data than real ones.
    """

    name: ClassVar[str] = "memorisation"
    paired: ClassVar[bool] = True

    def __call__(self, sides: Comparison) -> Value:
        """Near ½ is good."""
        if sides.training is None or sides.held_out is None:
            raise UserError(
                "memorisation compares with held-out images: name them by held_out=FOLDER or "
                "held_out=DATA:test, or leave ganforge.metrics.coverage.Memorisation out."
            )
        need_images(len(sides.held_out), 2, "memorisation")
        fake = sides.in_training().distances[:, 0].double()
        rows = sides.held_out.features.features, sides.training.features.features
        held_out = nearest(*rows).distances[:, 0].double()
        found = copying(fake, held_out)
        details = {
            "median_distance": fake.median().item(),
            "median_distance_held_out": held_out.median().item(),
            # 0.01 of new images: a mean over pairs does not see that some are copies.
            "share_nearer_than_1_percent_of_held_out": float(
                (fake.numpy() < np.quantile(held_out.numpy(), 0.01)).mean()
            ),
        }
        sets = {"training": sides.training, "held_out": sides.held_out}
        return Value(
            found.share,
            settings=tuple(
                (name, value)
                for what, found in sets.items()
                for name, value in ((f"n_{what}", len(found)), (f"{what}_hash", found.data_hash))
            ),
            notes=tuple(found.note for found in sets.values() if found.note),
            interval=bootstrap.of_two(found.share, found.samples.numpy(), found.held_out.numpy()),
            details=details,
        )
