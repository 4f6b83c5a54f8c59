import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.data.faces import Face
from ganforge.data.windows import cut
from ganforge.models.region import Change
from ganforge.retouch import photo
from ganforge.retouch.photo import (
    Patch,
    Pictured,
    generate,
    outside_is_kept,
    region_box,
)
from ganforge.utils.errors import UserError
from ganforge.utils.regions import Placement, Region
from models.test_region_model import make, windows

REGION = Region(
    [[0.25, 0.25], [0.75, 0.25]],
    [[0.25, 0.25, 0.2, 0.15], [0.75, 0.25, 0.2, 0.15]],
    aspect=0.5,
)


class Constant(torch.nn.Module):
    """A model of regions that asks for the same change everywhere."""

    def __init__(self, gain=1.0, offset=0.0, size=32):
        super().__init__()
        self.region, self.size, self.device = REGION, size, torch.device("cpu")
        self.gain, self.offset, self.seen = gain, offset, None

    def change(self, images, exemplar):
        self.seen = images, exemplar
        gain = torch.full_like(images[:, :1], self.gain)
        return Change(gain, torch.full_like(images, self.offset))


def smooth(width, height, seed=0):
    """A picture of slow waves."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [
        np.sin(x / rng.uniform(9, 20) + rng.uniform(0, 6)) + np.cos(y / rng.uniform(9, 20))
        for _ in range(3)
    ]
    return Image.fromarray((127.5 + 50 * np.stack(waves, -1)).round().astype(np.uint8))


def level(width, height, value):
    return Image.new("RGB", (width, height), (value, value, value))


def test_the_exemplar_with_its_change_appears_in_the_region_alone():
    """Level 100 becomes 127.5·(100/127.5 − 1 + 0.4) + 127.5 = 151 where the mask is full."""
    seen = Pictured(level(300, 200, 20), Face((100, 80), (160, 80)))
    exemplar = Pictured(level(500, 500, 100), Face((50, 60), (290, 90)))
    patch = generate(Constant(offset=0.4), seen, exemplar)
    before = np.asarray(seen.image)
    after = patch.onto(before)
    assert after[80, 100].tolist() == after[80, 160].tolist() == [151] * 3
    assert outside_is_kept(before, after, [patch])
    x, y = (np.arange(n) + 0.5 for n in (300, 200))
    radii = 0.2 * 120, 0.15 * 120  # the window is twice as wide as the eyes are apart
    inside = np.zeros((200, 300), bool)
    for centre in (100, 160):
        distance = ((x[None] - centre) / radii[0]) ** 2 + ((y[:, None] - 80) / radii[1]) ** 2
        inside |= distance < 1
    changed = (after != before).any(2)
    assert not changed[~inside].any()
    assert changed[inside].mean() > 0.9


@pytest.mark.parametrize("eyes", [((30.0, 40.0), (90.0, 60.0)), ((60.0, 30.0), (40.0, 70.0))])
def test_an_exemplar_that_is_the_photo_turned_and_scaled_gives_the_photo(eyes):
    """Without a change the exemplar's region lands where it came from."""
    picture = smooth(400, 300)
    placement = Placement((20.0, 30.0), (1.3, 0.4))
    turned = Image.fromarray(
        cut(picture, Placement(placement.origin, (260.0, 80.0)), (200, 200)).transpose(1, 2, 0)
    )
    there = Face(*eyes)
    here = Face(*(placement.at(*eye) for eye in eyes))
    if here.left[0] > here.right[0] and here.eye_distance < 20:
        pytest.skip("upside down")
    patch = generate(Constant(), Pictured(picture, here), Pictured(turned, there))
    before = np.asarray(picture)
    shown = patch.weights == 1
    left, top, right, bottom = patch.box
    expected = before[top:bottom, left:right].astype(int)[shown]
    assert np.abs(patch.pixels.astype(int)[shown] - expected).mean() < 1.5


def test_the_model_sees_aligned_windows():
    model, seen_photo = Constant(), Pictured(smooth(300, 200), Face((90.2, 80), (150, 95.5)))
    exemplar = Pictured(smooth(640, 480, 1), Face((200, 300), (400, 250)))
    generate(model, seen_photo, exemplar)
    for seen, pictured in zip(model.seen, (seen_photo, exemplar), strict=True):
        assert seen.shape == (1, 3, 16, 32)
        placement = Placement.of(REGION, pictured.face.left, pictured.face.right)
        x, y = placement.at(0.25, 0.25)
        column, row = 7, 7  # centres at (7.5, 7.5) / 32, the anchor at (8, 8) / 32
        here = np.asarray(pictured.image)[int(y), int(x)] / 127.5 - 1
        assert seen[0, :, row, column].numpy() == pytest.approx(here, abs=0.2)


def test_at_the_windows_own_size_it_is_what_the_model_makes(monkeypatch):
    """A photo that is a window: retouching it is what the model itself does with windows."""
    module = make().eval()
    seen, exemplar = windows(1), windows(1, 1)
    (ax, ay), (bx, by) = ((32 * x, 32 * y) for x, y in module.region.anchors)
    face = Face((ax, ay), (bx, by))

    def pictured(images):
        return Pictured(Image.fromarray(images[0].permute(1, 2, 0).numpy()), face)

    monkeypatch.setattr(photo, "LEAST_EYE_DISTANCE", 10)
    made = generate(module, pictured(seen), pictured(exemplar))
    out = torch.from_numpy(made.onto(seen[0].permute(1, 2, 0).numpy())).permute(2, 0, 1)
    assert (out.int() - module.retouch(seen, exemplar)[0].int()).abs().max() <= 1


def test_a_change_is_made_small_and_applied_to_every_pixel():
    """With gain 0 the exemplar's detail is gone, with gain 1 it is all there."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(256, size=(400, 400, 3)).astype(np.uint8))
    face = Face((100.0, 200.0), (300.0, 200.0))
    flat, sharp = (
        generate(Constant(gain, size=32), Pictured(noise, face), Pictured(noise, face)).pixels
        for gain in (0.0, 1.0)
    )
    left, top, right, bottom = region_box(REGION, Placement.of(REGION, face.left, face.right))
    assert flat.std() == 0
    assert_close(sharp, np.asarray(noise, np.float32)[top:bottom, left:right], rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("face", "sentence"),
    [
        (Face((50.0, 50.0), (69.0, 50.0)), "19 pixels apart"),
        (Face((5.0, 50.0), (65.0, 50.0)), "beyond the picture"),
        (Face((50.0, 5.0), (110.0, 5.0)), "beyond the picture"),
    ],
)
def test_what_cannot_be_done_is_told(face, sentence):
    picture = level(300, 200, 9)
    with pytest.raises(UserError, match=sentence):
        generate(Constant(), Pictured(picture, face), Pictured(picture, face))


def test_a_changed_pixel_outside_is_noticed():
    before = np.zeros((10, 10, 3), np.uint8)
    weights = np.zeros((4, 4), np.float32)
    weights[1:3, 1:3] = 0.5
    patch = Patch((2, 2, 6, 6), np.full((4, 4, 3), 200, np.uint8), weights)
    after = patch.onto(before)
    assert after[3, 3].tolist() == [100] * 3
    assert outside_is_kept(before, after, [patch])
    after[2, 2] = 1
    assert not outside_is_kept(before, after, [patch])
