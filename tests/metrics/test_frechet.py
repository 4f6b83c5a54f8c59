import gc
import weakref

import numpy as np
import pytest
import torch

from ganforge.metrics.comparison import Comparison
from ganforge.metrics.coverage import Density, Precision
from ganforge.metrics.features import Features
from ganforge.metrics.frechet import frechet_distance, moments
from ganforge.metrics.scores import FID, FIDInfinity
from ganforge.metrics.statistics import RealFeatures


def gaussian(count, mean=0.0, std=1.0, seed=0, dim=8):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, dim, generator=rng) * std + mean


def compared(fake, real, logits=None):
    return Comparison(RealFeatures(Features(real, None)), Features(fake, logits))


def fidelity(fake, real):
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    sides = [fid_features_to_statistics(features) for features in (fake, real)]
    return fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"]


@pytest.mark.parametrize("counts", [(200, 150), (40, 150), (150, 40), (40, 30)])
@pytest.mark.parametrize("dead", [0, 9])
def test_equals_torch_fidelity_whatever_is_singular(counts, dead):
    """Fewer images than features on either side, and features that are always 0."""
    mix = gaussian(48, dim=48, seed=9)
    fake, real = (gaussian(count, seed=i, dim=48) @ mix for i, count in enumerate(counts))
    fake = fake * 1.3 + 0.5
    fake[:, :dead] = real[:, :dead] = 0
    told = frechet_distance(moments(real), moments(fake))
    assert told == pytest.approx(fidelity(fake, real), rel=1e-4)


def test_a_constant_feature_on_one_side_only():
    fake, real = gaussian(90, seed=1), gaussian(80)
    fake[:, 0] = 3
    for one, other in ((fake, real), (real, fake)):
        told = frechet_distance(moments(one), moments(other))
        assert told == pytest.approx(fidelity(fake, real), rel=1e-4)


def test_moments_of_chosen_rows_and_of_any_blocks(monkeypatch):
    values = gaussian(100, 5, 2)
    chosen = np.array([1, 1, 5, *range(40)])
    monkeypatch.setattr("ganforge.metrics.frechet.ROWS", 7)
    told = moments(values, chosen)
    np.testing.assert_allclose(told.mean, values[chosen].double().mean(0))
    np.testing.assert_allclose(told.covariance, np.cov(values[chosen].double(), rowvar=False))


def test_infinite_fid_is_nearer_to_the_truth():
    """|μ|² + D (σ - 1)², from so few images that FID itself is far above it."""
    dim, mean, std = 24, 0.2, 1.1
    truth = dim * (mean**2 + (std - 1) ** 2)
    real = gaussian(60_000, dim=dim)
    fids, extrapolated = [], []
    for seed in range(1, 6):
        sides = compared(gaussian(600, mean, std, seed, dim), real)
        fids.append(FID()(sides).value)
        extrapolated.append(FIDInfinity()(sides).value)
    bias = np.mean(fids) - truth
    assert bias > 0.15
    assert abs(np.mean(extrapolated) - truth) < bias / 4


def test_infinite_fid_agrees_between_counts():
    """500, 2,000 or 10,000 generated images, against all real ones: the same number."""
    dim, mean, std = 24, 0.2, 1.1
    truth = dim * (mean**2 + (std - 1) ** 2)
    real = gaussian(20_000, dim=dim)
    told = []
    for seed, count in enumerate((500, 2000, 10_000), start=1):
        sides = compared(gaussian(count, mean, std, seed, dim), real)
        told.append(FIDInfinity(replicates=0)(sides).value)
    assert told == pytest.approx([truth] * 3, rel=0.12)


def test_infinite_fid_tells_its_smallest_subset():
    sides = compared(gaussian(100, seed=1), gaussian(100))
    assert dict(FIDInfinity()(sides).settings) == {
        "points": 15,
        "smallest": 50,
        "rng_seed": 2020,
    }


def test_few_images_are_noted():
    (note,) = FID()(compared(gaussian(8, seed=1), gaussian(8))).notes
    assert note.startswith("8 images for 8 features")
    assert FID()(compared(gaussian(9, seed=1), gaussian(9))).notes == ()


def test_replicates_are_paid_for_where_they_are_asked_for(monkeypatch):
    """During training a score of FID is one distance; with an interval, one and its replicates."""
    taken = []

    def counted(one, other):
        taken.append(one)
        return frechet_distance(one, other)

    for module in ("scores", "comparison"):
        monkeypatch.setattr(f"ganforge.metrics.{module}.frechet_distance", counted)
    sides = compared(gaussian(50, seed=1), gaussian(60))
    plain = FID()(sides)
    assert (len(taken), plain.interval) == (1, None)
    with_interval = FID(replicates=8)(sides)
    assert len(taken) == 1 + 1 + 8
    assert with_interval.value == plain.value
    assert with_interval.interval[0] < plain.value < with_interval.interval[1]
    assert with_interval.settings == plain.settings == ()


def test_what_was_compared_is_forgotten_afterwards():
    """Training scores hundreds of times: features must not outlive their scores."""
    sides = compared(gaussian(50, seed=1), gaussian(60))
    for metric in (FID(replicates=4), Precision(), Density()):
        metric(sides)
        metric(sides)
    features = weakref.ref(sides.fake.features)
    del sides
    gc.collect()
    assert features() is None
