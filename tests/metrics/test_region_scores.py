import pytest
import torch
from torch.testing import assert_close

from ganforge.metrics.regions import blend, match_colours, region_l1, region_psnr, seam

SOFT = torch.zeros(1, 1, 6, 6)
SOFT[..., 2:4, 2:4] = 1
SOFT[..., 2:4, 1] = 0.5


def level(value, count=2):
    return torch.full((count, 3, 6, 6), value, dtype=torch.uint8)


def test_distances_are_weighed_by_the_mask():
    fake = level(100)
    fake[:, :, 2:4, 1] = 151  # 51 of 255 off where the weight is a half: 2 of 10 halves
    fake[:, :, 0, 0] = 255  # outside
    expected = 51 / 127.5 * (2 * 0.5) / 5
    assert_close(region_l1(fake, level(100), SOFT), torch.full((2,), expected))
    square = (51 / 255) ** 2 * (2 * 0.5) / 5
    decibel = -10 * torch.tensor(square + 1e-8).log10()
    assert_close(region_psnr(fake, level(100), SOFT), decibel.expand(2))


def test_an_exact_region_counts_80_decibels():
    assert region_psnr(level(7), level(7), SOFT).tolist() == pytest.approx([80, 80])


def test_the_seam_is_the_mean_jump_across_the_border():
    """16 of 16 steps over the border jump by 51 levels of 127.5."""
    image = level(100)
    image[:, :, 2:4, 1:4] = 151
    assert seam(image, SOFT) == pytest.approx(51 / 127.5)
    assert seam(level(100), SOFT) == 0
    image[:, 0] = 100  # one channel of three is flat
    assert seam(image, SOFT) == pytest.approx(2 / 3 * 51 / 127.5)


def test_blending_keeps_what_is_outside():
    mixed = blend(level(10), level(110), SOFT)
    assert mixed[0, 0, 2].tolist() == [10, 60, 110, 110, 10, 10]
    assert (mixed[..., 0, :] == 10).all()


def test_colours_are_matched_around_the_hole():
    """An exemplar that is a darker picture with half of the contrast becomes the picture."""
    rng = torch.Generator().manual_seed(0)
    picture = torch.randint(60, 200, (2, 3, 6, 6), generator=rng).byte()
    exemplar = (picture.float() / 2 + 20).round().byte()
    matched = match_colours(exemplar, picture, (SOFT >= 1).float())
    assert (matched.int() - picture.int()).abs().max() <= 2
