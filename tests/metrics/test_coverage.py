import pytest
import torch

from ganforge.metrics.comparison import Comparison
from ganforge.metrics.coverage import Coverage, Density, Memorisation, Precision, Recall
from ganforge.metrics.features import Features
from ganforge.metrics.statistics import ImageSet, RealFeatures
from ganforge.utils.errors import UserError
from ganforge.utils.neighbours import nearest


def gaussian(count, mean=0.0, seed=0, dim=6):
    rng = torch.Generator().manual_seed(seed)
    return Features(torch.randn(count, dim, generator=rng) + mean, None)


def compared(fake, real):
    return Comparison(RealFeatures(real), fake)


@pytest.mark.parametrize("block", [1 << 25, 1000])
def test_all_four_equal_their_definitions(block, monkeypatch):
    """Against the reference implementation of Naeem et al. 2020, and whatever the blocks are."""
    prdc = pytest.importorskip("prdc", reason="the reference implementation is a development tool")
    monkeypatch.setattr("ganforge.utils.neighbours.BLOCK", block)
    real, fake = gaussian(150), gaussian(130, 0.8, seed=1)
    sides = compared(fake, real)
    for k, metrics in ((3, (Precision(), Recall())), (5, (Density(), Coverage()))):
        told = prdc.compute_prdc(real.features.numpy(), fake.features.numpy(), nearest_k=k)
        for metric in metrics:
            assert metric(sides).value == pytest.approx(told[metric.name], abs=1e-6)


def test_density_and_coverage_by_hand():
    """Four points on a line; k = 1, so that balls have radii 1, 1, 1 and 8."""
    real = Features(torch.tensor([[0.0], [1.0], [2.0], [10.0]]), None)
    fake = Features(torch.tensor([[0.5], [0.6], [100.0]]), None)
    sides = compared(fake, real)
    assert Density(1)(sides).value == pytest.approx((2 + 2 + 0) / 3)
    assert Coverage(1)(sides).value == pytest.approx(2 / 4)


def test_a_set_against_itself_is_perfect_and_a_far_one_is_not():
    real = gaussian(100)
    for metric in (Precision(), Recall(), Coverage()):
        assert metric(compared(real, real)).value == 1
        assert metric(compared(gaussian(100, 50), real)).value == 0


def test_balls_are_counted_among_as_many_real_images():
    """Neighbourhoods shrink with the number of images: both sides have the same."""
    real, fake = gaussian(300), gaussian(100, 0.8, seed=1)
    images = ImageSet(list, 300, "", "train", seed=5)
    sides = Comparison(RealFeatures(real, images=images), fake)
    some = Features(sides.peers(), None)
    assert len(some) == 100
    for metric in (Precision(), Recall(), Density(), Coverage()):
        told = metric(sides)
        assert told.n_real == 100
        assert told.value == metric(compared(fake, some)).value


def test_intervals_hold_the_value_and_shrink_with_more_images():
    real = gaussian(400)
    few, many = gaussian(100, 0.5, 1), gaussian(1600, 0.5, 1)
    for metric in (Precision(), Density()):
        (a, b), (c, d) = (metric(compared(fake, real)).interval for fake in (few, many))
        value = metric(compared(few, real)).value
        assert a < value < b
        assert (b - a) / (d - c) == pytest.approx(4, rel=0.35)


def test_memorisation_tells_copies_from_new_images():
    training, held_out = gaussian(300), gaussian(200, seed=1)

    def measured(fake):
        sets = [
            RealFeatures(found, None, ImageSet(list, len(found), name, name))
            for name, found in (("aa", training), ("bb", held_out))
        ]
        return Memorisation()(Comparison(None, fake, *sets))

    assert measured(gaussian(200, seed=2)).value == pytest.approx(0.5, abs=0.08)
    copies = measured(Features(training.features[:50] + 1e-3, None))
    assert copies.value == 1
    assert measured(gaussian(50, 9, seed=2)).value == 0
    assert dict(copies.details)["median_distance"] < 0.01
    assert copies.settings == (
        ("n_training", 300), ("training_hash", "aa"), ("n_held_out", 200), ("held_out_hash", "bb"),
    )  # fmt: skip
    low, high = measured(gaussian(200, seed=2)).interval
    # Both samples count: Var(share) is (n + m + 1) / 12nm where nothing is copied.
    assert high - low == pytest.approx(2 * 1.96 * (401 / 12 / 200 / 200) ** 0.5, rel=0.1)
    assert low < 0.5 < high


def test_copies_among_poor_images_are_seen_though_the_mean_is_one_half():
    training, held_out = gaussian(400), gaussian(400, seed=1)
    copies = training.features[:100] + 1e-3
    poor = gaussian(100, 9, seed=2).features
    sides = RealFeatures(training), RealFeatures(held_out)
    share = "share_nearer_than_1_percent_of_held_out"
    mixed = Memorisation()(Comparison(None, Features(torch.cat([copies, poor]), None), *sides))
    assert mixed.value == pytest.approx(0.5, abs=0.02)
    assert mixed.details[share] == pytest.approx(0.5, abs=0.02)
    new = Memorisation()(Comparison(None, gaussian(400, seed=3), *sides))
    assert new.details[share] < 0.03


def test_memorisation_needs_held_out_images():
    with pytest.raises(UserError, match=r"held_out=FOLDER"):
        Memorisation()(Comparison(None, gaussian(5), RealFeatures(gaussian(5)), None))


def test_nearest_distances_are_exact_enough():
    a, b = gaussian(40).features, gaussian(30, seed=1).features
    brute = (a[:, None].double() - b[None].double()).square().sum(-1).sqrt().min(1)
    torch.testing.assert_close(
        nearest(a, b).distances[:, 0].double(), brute.values, rtol=1e-5, atol=1e-5
    )


def test_too_few_images_are_refused():
    with pytest.raises(UserError, match="precision and recall needs at least 4 images"):
        Precision()(compared(gaussian(3), gaussian(9)))
    with pytest.raises(UserError, match="density and coverage needs at least 6 images"):
        Density()(compared(gaussian(9), gaussian(5)))
