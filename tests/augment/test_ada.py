import math

import pytest
import torch
from torch.testing import assert_close

from ganforge.augment.ada import (
    ADA,
    Resample,
    brighten,
    mirror_luma,
    recoloured,
    rotation,
    saturate,
    scaling,
    translation,
    turn_hue,
)


def images(channels=3, side=8):
    return torch.rand(5, channels, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_p_follows_the_signs_by_hand():
    """4 updates of 50 images move p by 200 / 10,000, up above the target and down below it."""
    ada = ADA(target=0.6, speed_kimg=10, interval=4)
    sure, unsure = torch.full((50, 1), 3.0), torch.tensor([[1.0], [-1.0]]).repeat(25, 1)
    found = [ada.observe(sure)["augment_p"].item() for _ in range(8)]
    assert found == pytest.approx([0, 0, 0, 0.02, 0.02, 0.02, 0.02, 0.04])
    found = [ada.observe(unsure)["augment_p"].item() for _ in range(4)]
    assert found[-1] == pytest.approx(0.02)


def test_the_target_is_one_of_the_mean_sign():
    """Four of five right is a mean sign of 0.6: the size of the logits does not count."""
    ada = ADA(target=0.6, speed_kimg=1, interval=1, p=0.5)
    assert ada.observe(torch.tensor([9.0, 9, 9, 9, -9])).popitem()[1].item() == 0.5
    assert ada.observe(torch.tensor([0.1, 0.1, 0.1, 0.1, 0.1])).popitem()[1].item() > 0.5


@pytest.mark.parametrize(("logit", "end"), [(1.0, 0.8), (-1.0, 0.0)])
def test_p_stays_in_its_bounds(logit, end):
    ada = ADA(speed_kimg=0.01, interval=1, p=0.4, most=0.8)
    for _ in range(10):
        ada.observe(torch.full((4,), logit))
    assert ada.p.item() == pytest.approx(end)


def test_p_and_its_statistics_are_in_the_state():
    first, second = ADA(speed_kimg=1, interval=4), ADA(speed_kimg=1, interval=4)
    for _ in range(6):
        first.observe(torch.ones(50))
    second.load_state_dict(first.state_dict())
    assert second.p.item() == first.p.item() > 0
    for _ in range(2):
        after = [ada.observe(torch.ones(50))["augment_p"].item() for ada in (first, second)]
    assert after[0] == after[1] == pytest.approx(0.4)


@pytest.mark.parametrize("channels", [1, 3])
def test_p_of_zero_changes_nothing(channels):
    x = images(channels)
    assert_close(ADA()(x), x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_p_of_one_changes_every_sample_its_own_way(channels):
    torch.manual_seed(0)
    one = images(channels)[:1].expand(6, -1, -1, -1).clone().requires_grad_()
    changed = ADA(p=1.0)(one)
    assert changed.shape == one.shape
    assert len({tuple(sample.flatten().tolist()) for sample in changed}) == 6
    changed.sum().backward()
    assert one.grad.isfinite().all()
    assert (one.grad.flatten(1).abs().sum(1) > 0).all()


def test_a_share_p_of_samples_is_moved():
    torch.manual_seed(0)
    ada = ADA(p=0.3)
    drawn = ada._maybe(torch.ones(20_000), 0.0)
    # Four deviations of √(0.3 · 0.7 / 20,000).
    assert drawn.mean().item() == pytest.approx(0.3, abs=0.013)


def test_bf16_images_come_back_in_fp32():
    with torch.autocast("cpu", torch.bfloat16):
        assert ADA(p=1.0)(images().bfloat16()).dtype == torch.float32


def test_matrices_by_hand():
    half_turn = rotation(torch.tensor([math.pi]))
    assert_close(half_turn @ torch.tensor([1.0, 2.0, 1.0]), torch.tensor([[-1.0, -2.0, 1.0]]))
    moved = translation(torch.tensor([3.0]), torch.tensor([4.0])) @ torch.tensor([1.0, 2.0, 1.0])
    assert_close(moved, torch.tensor([[4.0, 6.0, 1.0]]))
    scaled = scaling(torch.tensor([-1.0]), torch.tensor([2.0])) @ torch.tensor([1.0, 2.0, 1.0])
    assert_close(scaled, torch.tensor([[-1.0, 4.0, 1.0]]))


RED, GREY = torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.tensor([0.3, 0.3, 0.3, 1.0])


@pytest.mark.parametrize(
    ("matrix", "red"),
    [
        # 2·(x + 0.5).
        (brighten(torch.tensor([0.5]), torch.tensor([2.0])), [3, 1, 1, 1]),
        # Mirrored along (1, 1, 1): x - 2 mean(x).
        (mirror_luma(torch.tensor([1.0])), [1 / 3, -2 / 3, -2 / 3, 1]),
        (mirror_luma(torch.tensor([0.0])), [1, 0, 0, 1]),
        # A third of the circle of hues: red becomes green.
        (turn_hue(torch.tensor([2 * math.pi / 3])), [0, 1, 0, 1]),
        # No saturation leaves the mean.
        (saturate(torch.tensor([0.0])), [1 / 3, 1 / 3, 1 / 3, 1]),
        (saturate(torch.tensor([2.0])), [5 / 3, -1 / 3, -1 / 3, 1]),
    ],
)
def test_colours_by_hand(matrix, red):
    assert_close((matrix @ RED)[0], torch.tensor(red, dtype=torch.float32))


@pytest.mark.parametrize("matrix", [turn_hue(torch.tensor([1.0])), saturate(torch.tensor([3.0]))])
def test_grey_has_no_hue_and_no_saturation(matrix):
    assert_close((matrix @ GREY)[0], GREY)


def test_colours_reach_the_pixels():
    """2·(0.25 + 0.5)."""
    matrix = brighten(torch.tensor([0.5]), torch.tensor([2.0]))
    x = torch.full((1, 3, 2, 2), 0.25)
    assert_close(recoloured(x, matrix), torch.full((1, 3, 2, 2), 1.5))
    assert_close(recoloured(x[:, :1], matrix), torch.full((1, 1, 2, 2), 1.5))


def test_pairs_are_refused():
    with pytest.raises(ValueError, match="1 or 3 channels, not of 4"):
        ADA()(images(channels=4))


def test_a_turned_image_is_the_turned_image():
    """A quarter is exact: every pixel lands on a pixel."""
    ada, x = ADA(), images(side=8)
    ada._geometry = lambda images: rotation(torch.full((len(images),), math.pi / 2))
    assert_close(ada(x), x.rot90(1, (2, 3)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bad", [{"p": -0.1}, {"p": 0.5, "most": 0.4}, {"interval": 0}])
def test_impossible_settings_are_refused(bad):
    with pytest.raises(ValueError, match="0 <= p <= most <= 1"):
        ADA(**bad)


def test_a_shift_moves_along_both_axes_or_not_at_all():
    """As in the paper's code, one draw decides about x and y: with p ½, half of both are moved."""
    torch.manual_seed(0)
    ada = ADA(p=0.5)
    drawn = torch.rand(2, 4000) + 1
    x, y = ada._maybe(drawn, 0.0)
    assert torch.equal(x != 0, y != 0)
    assert (x != 0).float().mean().item() == pytest.approx(0.5, abs=0.04)
    moved = [0, 0]

    def count(x, y):
        moved[0] += ((x != 0) == (y != 0)).sum().item()
        moved[1] += len(x)
        return translation(x, y)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ganforge.augment.ada.translation", count)
        ada._geometry(torch.zeros(500, 3, 256, 256))
    # The whole-pixel shift may draw 0 along one axis: 1 in 65 of the moved ones, twice.
    assert moved[0] / moved[1] > 0.97


def test_the_resampling_has_a_second_derivative():
    """R1 differentiates the gradient: torch's own resampling stops there."""
    torch.manual_seed(0)
    x = torch.randn(2, 1, 5, 5, dtype=torch.float64, requires_grad=True)
    grid = torch.rand(2, 5, 5, 2, dtype=torch.float64) * 2.4 - 1.2
    assert torch.autograd.gradcheck(Resample.apply, (x, grid))
    assert torch.autograd.gradgradcheck(Resample.apply, (x, grid))
