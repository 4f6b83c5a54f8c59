"""95 % confidence intervals of what was measured.

They say how far the value would move had other images been drawn from the same generator; the real
images are the data and stay. (KID and memorisation compare two samples: theirs count both.) The
choice of the extractor and the seed of training are not in them. ``python -m benchmarks.intervals``
holds each to its name by samples of which the truth is known.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

REPLICATES = 1000  # for values that cost nothing to recompute
CONFIDENCE = 0.95
NORMAL = 1.959964  # half-width of the interval in standard deviations

Interval = tuple[float, float]


def of_mean(
    values: np.ndarray, seed: int, transform: Callable = lambda x: x, mean: Callable = np.mean
) -> Interval:
    """Percentiles of the bootstrapped ``mean`` of a value per image, after ``transform``."""
    rng = np.random.default_rng(seed)
    count = len(values)
    means = [mean(values[rng.integers(0, count, count)]) for _ in range(REPLICATES)]
    return _percentiles(transform(np.array(means)))


def of_share(share: float, count: int) -> Interval:
    """Of ``count`` yes-or-no answers (Wilson 1927): no empty interval where all are alike."""
    z = NORMAL**2 / count
    middle = (share + z / 2) / (1 + z)
    half = float(np.sqrt(max(share * (1 - share), 0) * z + z**2 / 4)) / (1 + z)
    return max(middle - half, 0.0), min(middle + half, 1.0)


@dataclass(frozen=True)
class Parts:
    """Variance of a distance of ``n`` images by order: as 1/n, and as 1/n², of ``halves`` splits.

    The second alone remains where both distributions are equal.
    """

    first: float
    second: float
    halves: int

    def interval(self, value: float, first: float = 1.0, second: float = 1.0) -> Interval:
        """Around ``value``; the variances are multiplied by ``first`` and ``second``."""
        from scipy.stats import t

        spread = np.sqrt(self.first * first + self.second * second)
        half = float(t.ppf((1 + CONFIDENCE) / 2, self.halves) * spread)
        return value - half, value + half


def halves(count: int, splits: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Indices of both halves of ``count`` images in so many random ``splits``."""
    rng, half = np.random.default_rng(seed), count // 2
    orders = [rng.permutation(count) for _ in range(splits)]
    return [(order[:half], order[half : 2 * half]) for order in orders]


def of_halves(values: np.ndarray) -> Parts:
    """From values of both halves of the images, for random splits, ``splits×2``.

    The difference of two halves varies with the first order and, as the sample is not the truth,
    twice the second; their mean with the second alone.
    """
    odd = float(((values[:, 0] - values[:, 1]) ** 2).mean() / 4)
    even = float(values.mean(1).var(ddof=1))
    return Parts(max(odd - 2 * even, 0.0), even, len(values))


def of_two(value: float, one: np.ndarray, other: np.ndarray) -> Interval:
    """A mean over pairs of two samples: what each image of either contributes (DeLong 1988)."""
    variance = np.var(one, ddof=1) / len(one) + np.var(other, ddof=1) / len(other)
    half = NORMAL * float(np.sqrt(variance))
    return max(value - half, 0.0), min(value + half, 1.0)


def of_spread(value: float, replicates: np.ndarray, widen: float = 1.0) -> Interval:
    """``value`` ± 1.96 standard deviations of ``replicates``, for values that resampling biases.

    A sample with repetitions has fewer different images, which raises a distance: only the spread
    of the replicates is taken from it. ``widen`` multiplies the spread.
    """
    half = NORMAL * widen * float(np.std(replicates, ddof=1))
    return value - half, value + half


def _percentiles(replicates: np.ndarray) -> Interval:
    low, high = np.quantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
