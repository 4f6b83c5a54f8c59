"""95 % confidence intervals by resampling what was measured (Efron 1979).

Resampled are the generated images (for recall and coverage the real ones): the interval says how
far the value would move had other images been drawn from the same generator. The choice of
training data, of the extractor and of the seed of training is not in it.
"""

from collections.abc import Callable

import numpy as np

REPLICATES = 1000  # for values that cost nothing to recompute
CONFIDENCE = 0.95
NORMAL = 1.959964  # half-width of the interval in standard deviations

Interval = tuple[float, float]


def resample(count: int, replicates: int, seed: int) -> np.ndarray:
    """Indices ``replicates×count`` drawn with replacement."""
    return np.random.default_rng(seed).integers(0, count, (replicates, count))


def of_mean(values: np.ndarray, seed: int, transform: Callable = lambda x: x) -> Interval:
    """Percentiles of the bootstrapped mean of a value per image, after ``transform``."""
    rng = np.random.default_rng(seed)
    count = len(values)
    means = [values[rng.integers(0, count, count)].mean() for _ in range(REPLICATES)]
    return _percentiles(transform(np.array(means)))


def of_share(share: float, count: int, seed: int) -> Interval:
    """The same for the mean of ``count`` yes-or-no answers: their bootstrap is binomial."""
    rng = np.random.default_rng(seed)
    return _percentiles(rng.binomial(count, min(max(share, 0), 1), REPLICATES) / count)


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
