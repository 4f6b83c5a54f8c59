import math

import pytest
import torch

from ganforge.metrics import pairs
from ganforge.metrics.pairs import (
    L1,
    PSNR,
    SSIM,
    ChangedL1,
    PooledPSNR,
    measure_pairs,
    pair_metrics,
)
from ganforge.utils.errors import UserError


def flat(level, channels=3, side=16):
    return torch.full((1, channels, side, side), level, dtype=torch.uint8)


def measured(metric, fake, truth, source=None):
    return measure_pairs(metric, [fake], [truth], [truth if source is None else source])


def test_values_by_hand():
    assert measured(L1(), flat(0), flat(51)) == pytest.approx(0.2)
    assert measured(PSNR(), flat(0), flat(51)) == pytest.approx(20 * math.log10(5))
    assert measured(PSNR(), flat(7), flat(7)) == 100
    assert measured(SSIM(), flat(7), flat(7)) == pytest.approx(1)
    # Without contrast SSIM is the luminance term alone.
    c = (0.01 * 255) ** 2
    expected = (2 * 100 * 200 + c) / (100**2 + 200**2 + c)
    assert measured(SSIM(), flat(100), flat(200)) == pytest.approx(expected, rel=1e-4)


def test_the_changed_region_is_where_source_and_truth_differ():
    source, truth, fake = flat(100), flat(100), flat(100)
    truth[..., :4, :] = 151  # the "glasses"
    fake[..., :4, :] = 151 - 51
    fake[..., 4:, :] = 100 + 51 // 3
    assert measured(ChangedL1(True), fake, truth, source) == pytest.approx(0.2)
    assert measured(ChangedL1(False), fake, truth, source) == pytest.approx(17 / 255)
    assert measured(ChangedL1(True), truth, truth, source) == 0
    assert measured(ChangedL1(True), fake, truth, truth) is None


def test_images_without_a_region_do_not_count():
    source, truth = torch.cat([flat(0), flat(0)]), torch.cat([flat(0), flat(102)])
    fake = torch.cat([flat(255), flat(51)])
    assert measured(ChangedL1(True), fake, truth, source) == pytest.approx(0.2)
    assert measured(ChangedL1(False), fake, truth, source) == pytest.approx(1.0)


def test_a_mean_is_over_images_not_batches():
    fakes = [torch.cat([flat(0)] * 3), flat(102)]
    truths = [torch.cat([flat(0)] * 3), flat(0)]
    assert measure_pairs(L1(), fakes, truths, truths) == pytest.approx(0.1)


def test_grey_counts_as_three_equal_channels():
    truth = flat(0)
    truth[:, 0] = 102
    grey = flat(0, channels=1)
    assert measured(L1(), grey, truth, grey) == pytest.approx(0.4 / 3)
    assert measured(ChangedL1(True), grey, truth, grey) == pytest.approx(0.4 / 3)


def test_pairs_of_different_sizes_are_refused():
    with pytest.raises(UserError, match="no pairs"):
        measured(L1(), flat(0, side=8), flat(0))


def test_lpips_is_offered_only_where_its_weights_are(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "lpips_weights", lambda: tmp_path / "alex.pth")
    metrics, notes = pair_metrics()
    assert "lpips" not in [metric.name for metric in metrics]
    assert str(tmp_path / "alex.pth") in notes[0]
    (tmp_path / "alex.pth").touch()
    metrics, notes = pair_metrics()
    assert metrics[-1].name == "lpips"
    assert not notes


def test_a_colour_inversion_shows():
    """The bounds that the recipe's result is held to: the truth passes, an inversion fails."""

    def fine(fake, truth, source):
        inside, outside, untouched = (
            measured(metric, images, truth, source)
            for metric, images in (
                (ChangedL1(True), fake), (ChangedL1(False), fake), (ChangedL1(True), source),
            )
        )  # fmt: skip
        return inside <= untouched / 3 and outside <= 0.03

    source, truth = flat(180), flat(180)
    truth[..., 3:6, 2:14] = 20
    assert fine(truth, truth, source)
    assert not fine(source, truth, source)
    assert not fine(255 - truth, truth, source)
    outside_inverted = 255 - truth
    outside_inverted[..., 3:6, 2:14] = 20
    assert not fine(outside_inverted, truth, source)


def test_pooled_psnr_is_torchmetrics_class():
    from torchmetrics.image import PeakSignalNoiseRatio

    fake, truth = (torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8) for _ in "ft")
    fake[0] = truth[0]  # one perfect image moves the mean of PSNR, and hardly the error
    reference = PeakSignalNoiseRatio(data_range=255.0)
    reference.update(fake.float(), truth.float())
    found = measure_pairs(PooledPSNR(), fake.split(2), truth.split(2), truth.split(2))
    assert found == pytest.approx(reference.compute().item(), rel=1e-5)
    assert measure_pairs(PSNR(), [fake], [truth], [truth]) > found + 5
    assert measure_pairs(PooledPSNR(), [truth], [truth], [truth]) == 100
