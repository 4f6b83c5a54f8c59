import math

import pytest
import torch
from torch.testing import assert_close

from ganforge.utils.regions import Placement, Region

EYES = Region([[0.25, 0.25], [0.75, 0.25]], [[0.25, 0.25, 0.2, 0.1], [0.75, 0.25, 0.2, 0.1]], 0.5)


def test_weights_are_one_inside_and_fade_over_the_feather():
    """Along the axis of an ellipse: full up to half of the radius, then falling to 0."""
    x = 0.25 + 0.2 * torch.tensor([0.0, 0.5, 0.75, 1.0, 1.2])
    assert_close(EYES.weights(x, torch.tensor(0.25)), torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0]))
    y = 0.25 - 0.1 * torch.tensor([0.5, 0.75, 1.0])
    assert_close(EYES.weights(torch.tensor(0.75), y), torch.tensor([1.0, 0.5, 0.0]))


def test_masks_are_read_at_the_centres_of_pixels_and_mirror():
    soft, hole = EYES.soft(40), EYES.hole(40)
    assert soft.shape == hole.shape == (1, 1, 40, 40)
    assert_close(soft, soft.flip(-1))
    assert_close(hole, (soft == 1).float())
    x, y = torch.tensor(9.5 / 40), torch.tensor(12.5 / 40)
    assert_close(soft[0, 0, 12, 9], EYES.weights(x, y))


def test_a_window_may_be_wider_than_high():
    flat = Region(EYES.anchors, EYES.ellipses, aspect=0.5)
    assert flat.shape(48) == (24, 48)
    assert_close(flat.soft(48), Region(EYES.anchors, EYES.ellipses).soft(48)[:, :, :24])


@pytest.mark.parametrize(
    "eyes", [((30.0, 40.0), (50.0, 40.0)), ((30.0, 40.0), (20.0, 90.0)), ((9.0, 9.0), (4.0, 3.0))]
)
def test_anchors_lie_on_the_points(eyes):
    placement = Placement.of(EYES, *eyes)
    for anchor, eye in zip(EYES.anchors, eyes, strict=True):
        assert placement.at(*anchor) == pytest.approx(eye)
        x, y = placement.of_picture(*map(torch.tensor, eye))
        assert (x.item(), y.item()) == pytest.approx(tuple(anchor), abs=1e-6)
    assert placement.width == pytest.approx(2 * math.dist(*eyes))


def test_a_level_window_is_not_turned():
    placement = Placement.of(EYES, (30.0, 40.0), (50.0, 40.0))
    assert placement.at(0, 0) == pytest.approx((20, 30))
    assert placement.at(1, 1) == pytest.approx((60, 70))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"anchors": [[0.7, 0.5], [0.3, 0.5]]}, "left one"),
        ({"feather": 0.0}, "feather"),
        ({"ellipses": []}, "ellipses"),
    ],
)
def test_impossible_regions_are_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        Region(**{"anchors": EYES.anchors, "ellipses": EYES.ellipses, **changed})
