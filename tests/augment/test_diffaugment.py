import pytest
import torch
from torch.testing import assert_close

from ganforge.augment.diffaugment import Color, Cutout, DiffAugment, Translation

OPERATIONS = [Color(), Translation(), Cutout()]
ALL = [*OPERATIONS, DiffAugment(OPERATIONS)]


def pictures(count=6, channels=3, height=8, width=8):
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("operation", ALL, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (6, 10)])
def test_shape_dtype_and_change(operation, channels, height, width):
    torch.manual_seed(0)
    images = pictures(6, channels, height, width)
    changed = operation(images)
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert not torch.equal(changed, images)


@pytest.mark.parametrize("operation", ALL, ids=lambda o: type(o).__name__)
def test_the_global_seed_decides(operation):
    images = pictures()
    torch.manual_seed(3)
    first, second = operation(images), operation(images)
    torch.manual_seed(3)
    assert_close(operation(images), first, rtol=0, atol=0)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("operation", ALL, ids=lambda o: type(o).__name__)
def test_every_sample_has_a_draw_of_its_own(operation):
    torch.manual_seed(0)
    alike = pictures(1).expand(16, -1, -1, -1)
    changed = operation(alike).flatten(1)
    assert len({tuple(row.tolist()) for row in changed}) > 4


@pytest.mark.parametrize("operation", ALL, ids=lambda o: type(o).__name__)
def test_the_input_stays_as_it_was(operation):
    images = pictures()
    before = images.clone()
    operation(images)
    assert_close(images, before, rtol=0, atol=0)


@pytest.mark.parametrize("operation", ALL, ids=lambda o: type(o).__name__)
def test_gradients_flow_to_every_sample(operation):
    torch.manual_seed(0)
    images = pictures().requires_grad_()
    operation(images).square().sum().backward()
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()


def test_colour_is_affine_in_each_sample():
    """Brightness, saturation and contrast of one draw: D(2x) - D(x) = D(x) - D(0)."""
    images = pictures()
    results = []
    for scale in (0, 1, 2):
        torch.manual_seed(0)
        results.append(Color()(scale * images))
    nothing, once, twice = results
    assert_close(twice - once, once - nothing, atol=1e-5, rtol=1e-4)


def test_brightness_moves_the_mean_by_at_most_a_half():
    """Saturation keeps the grey mean and contrast the image's, so all of it is brightness."""
    torch.manual_seed(0)
    images = pictures(200)
    shift = Color()(images).mean((1, 2, 3)) - images.mean((1, 2, 3))
    assert shift.abs().max() <= 0.5 + 1e-5
    assert shift.max() > 0.4
    assert shift.min() < -0.4


def test_contrast_scales_grey_about_the_mean():
    """Grey has no saturation: what remains of the deviations is ×0.5 to ×1.5."""
    torch.manual_seed(0)
    grey = pictures(200, channels=1)
    ratio = Color()(grey).std((1, 2, 3)) / grey.std((1, 2, 3))
    assert 0.5 <= ratio.min() < 0.6
    assert 1.4 < ratio.max() <= 1.5 + 1e-5


def test_saturation_scales_chroma_and_keeps_grey():
    """Chroma is scaled by contrast times saturation (×0 to ×2), luminance by contrast alone."""
    torch.manual_seed(0)
    images = pictures(400)

    def parts(x):
        grey = x.mean(1, keepdim=True)
        return grey.std((1, 2, 3)), (x - grey).flatten(1).norm(dim=1)

    (grey, chroma), (new_grey, new_chroma) = parts(images), parts(Color()(images))
    saturation = (new_chroma / chroma) / (new_grey / grey)
    assert 0 <= saturation.min() < 0.1
    assert 1.9 < saturation.max() <= 2 + 1e-4


@pytest.mark.parametrize(("ratio", "most"), [(0.125, 2), (0.25, 4), (0.0, 0)])
def test_translation_moves_whole_pixels_and_fills_with_zeros(ratio, most):
    torch.manual_seed(0)
    side, count = 16, 300
    rows = torch.arange(1.0, side + 1)[:, None] * 100
    columns = torch.arange(1.0, side + 1)[None, :]
    image = (rows + columns).expand(count, 1, side, side)
    moved = Translation(ratio)(image)
    shifts = set()
    for picture in moved[:, 0]:
        down, right = (
            int(i) - 8 for i in (picture == image[0, 0, 8, 8]).nonzero().squeeze(0).tolist()
        )
        expected = torch.zeros(side, side)
        for y in range(side):
            for x in range(side):
                if 0 <= y - down < side and 0 <= x - right < side:
                    expected[y, x] = image[0, 0, y - down, x - right]
        assert_close(picture, expected, rtol=0, atol=0)
        shifts.add((down, right))
    assert {abs(s) for pair in shifts for s in pair} == set(range(most + 1))
    # All (2·most + 1)² shifts are possible; a good share of them must turn up.
    assert len(shifts) > 0.8 * (2 * most + 1) ** 2


def test_translation_moves_all_channels_alike():
    torch.manual_seed(0)
    one = pictures(8, channels=1)
    moved = Translation()(one.expand(-1, 3, -1, -1))
    assert_close(moved[:, 0], moved[:, 1])
    assert_close(moved[:, 0], moved[:, 2])


@pytest.mark.parametrize(("side", "ratio"), [(16, 0.5), (15, 0.5), (16, 0.3), (16, 0.0)])
def test_cutout_is_one_rectangle_of_at_most_the_square(side, ratio):
    torch.manual_seed(0)
    hole = Cutout(ratio)(torch.ones(300, 3, side, side)) == 0
    length = int(side * ratio + 0.5)
    areas = hole[:, 0].sum((1, 2))
    heights, widths = hole[:, 0].any(2).sum(1), hole[:, 0].any(1).sum(1)
    assert_close(areas, heights * widths)
    assert areas.max() == length**2
    assert heights.max() <= length
    if length:
        # It may reach over the border, but never with more than half of it.
        assert heights.min() == widths.min() == (length + 1) // 2
    assert (hole == hole[:, :1]).all()


def test_cutout_leaves_the_rest_alone():
    torch.manual_seed(0)
    images = pictures() + 1
    cut = Cutout()(images)
    assert_close(cut[cut != 0], images[cut != 0], rtol=0, atol=0)


def test_operations_run_in_order():
    class Add(torch.nn.Module):
        def forward(self, x):
            return x + 1

    class Double(torch.nn.Module):
        def forward(self, x):
            return 2 * x

    assert_close(DiffAugment([Add(), Double()])(torch.ones(1)), torch.tensor([4.0]))
    assert_close(DiffAugment([])(torch.ones(1)), torch.ones(1))


@pytest.mark.parametrize(
    ("told", "sizes"),
    [(None, (3, 3)), (None, (1, 3)), ((3, 1), (3, 1)), ((1, 1), (1, 1)), ((3, 3), (3, 3))],
)
def test_colours_of_a_pair_do_not_shine_through(told, sizes):
    """Each side is what it would be alone, under the same draws."""
    sides = [torch.rand(4, channels, 6, 6) * 2 - 1 for channels in sizes]
    color = Color()
    color.stacked = told
    torch.manual_seed(0)
    together = color(torch.cat(sides, dim=1))
    for found, side in zip(together.split(list(sizes), dim=1), sides, strict=True):
        torch.manual_seed(0)
        assert_close(found, Color()(side))
