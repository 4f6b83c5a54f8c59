import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.utils.images import grid, join_gif, save_gif, save_image, to_float, to_pil, to_uint8


@pytest.mark.parametrize(
    ("value", "level"),
    [
        (-1.0, 0),
        (1.0, 255),
        (-1.01, 0),
        (1.01, 255),
        (-1e9, 0),
        (float("inf"), 255),
        # (0.5 + 1)·127.5 = 191.25, (0.4 + 1)·127.5 = 178.5: a tie, rounded to even.
        (0.5, 191),
        (-0.5, 64),
        (-0.0001, 127),
        (0.0001, 128),
    ],
)
def test_to_uint8_clamps_and_rounds(value, level):
    found = to_uint8(torch.tensor([value]))
    assert found.dtype == torch.uint8
    assert found.item() == level


def test_to_float_by_hand():
    found = to_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert found.dtype == torch.float32
    assert_close(found, torch.tensor([-1.0, -0.6, 1.0]))
    assert (found[0].item(), found[2].item()) == (-1, 1)


def test_round_trip_is_exact_for_all_levels():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(levels)), levels)


def test_rounding_is_to_the_nearest_level():
    """Up to 0.49 of a level off, every value finds back."""
    levels = torch.arange(256, dtype=torch.uint8)
    for off in (-0.49, 0.49):
        assert torch.equal(to_uint8(to_float(levels) + off / 127.5), levels)


def test_conversions_leave_their_input_alone():
    stored, seen = torch.arange(256, dtype=torch.uint8), torch.linspace(-2, 2, 9)
    before = seen.clone()
    to_float(stored)
    to_uint8(seen)
    assert torch.equal(stored, torch.arange(256, dtype=torch.uint8))
    assert torch.equal(seen, before)


def test_to_uint8_takes_bf16_and_graphs():
    images = torch.tensor([0.5], dtype=torch.bfloat16, requires_grad=True)
    assert to_uint8(images).item() == 191


def test_grid_layout():
    images = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 1, 2, 3)
    picture = grid(images, columns=2, padding=1)
    assert picture.dtype == torch.uint8
    assert picture.tolist() == [
        [
            [255] * 9,
            [255, 0, 0, 0, 255, 1, 1, 1, 255],
            [255, 0, 0, 0, 255, 1, 1, 1, 255],
            [255] * 9,
            [255, 2, 2, 2, 255, 3, 3, 3, 255],
            [255, 2, 2, 2, 255, 3, 3, 3, 255],
            [255] * 9,
            [255, 4, 4, 4, 255, 255, 255, 255, 255],
            [255, 4, 4, 4, 255, 255, 255, 255, 255],
            [255] * 9,
        ]
    ]


def test_grid_scale_repeats_pixels():
    image = torch.tensor([[[[10, 20], [30, 40]]]], dtype=torch.uint8)
    assert grid(image, padding=0, scale=2).tolist() == [
        [[10, 10, 20, 20], [10, 10, 20, 20], [30, 30, 40, 40], [30, 30, 40, 40]]
    ]


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(1, 1, 1), (4, 2, 2), (5, 3, 2), (10, 4, 3)]
)
def test_grid_is_square_most_by_default(count, columns, rows):
    picture = grid(torch.zeros(count, 3, 4, 4, dtype=torch.uint8), padding=2)
    assert picture.shape == (3, rows * 6 + 2, columns * 6 + 2)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_png_round_trip(channels, mode, tmp_path):
    image = torch.randint(256, (channels, 5, 7), dtype=torch.uint8)
    assert to_pil(image).mode == mode
    save_image(image, tmp_path / "a" / "x.png")
    with Image.open(tmp_path / "a" / "x.png") as picture:
        assert picture.size == (7, 5)
        found = torch.from_numpy(np.atleast_3d(np.asarray(picture)).copy()).permute(2, 0, 1)
    assert torch.equal(found, image)


@pytest.mark.parametrize("count", [1, 3])
def test_gif_frames_and_durations(count, tmp_path):
    frames = [Image.new("RGB", (8, 8), (80 * i, 0, 0)) for i in range(count)]
    save_gif(frames, tmp_path / "x.gif", milliseconds=50)
    durations = []
    with Image.open(tmp_path / "x.gif") as gif:
        assert gif.n_frames == count
        for i in range(count):
            gif.seek(i)
            durations.append(gif.info.get("duration"))
            assert gif.convert("RGB").getpixel((4, 4))[0] == pytest.approx(80 * i, abs=4)
    assert durations == [50] * (count - 1) + [1500]


@pytest.mark.parametrize(
    ("count", "most", "shown"),
    [(3, 100, [0, 1, 2]), (5, 5, [0, 1, 2, 3, 4]), (6, 5, [1, 3, 5]), (9, 2, [3, 8])],
)
def test_long_gifs_are_thinned_evenly_to_the_last(count, most, shown, tmp_path):
    pictures = [tmp_path / f"{i}.png" for i in range(count)]
    for i, path in enumerate(pictures):
        Image.new("L", (4, 4), 20 * i).save(path)
    join_gif(pictures, tmp_path / "x.gif", most)
    found = []
    with Image.open(tmp_path / "x.gif") as gif:
        for i in range(gif.n_frames):
            gif.seek(i)
            found.append(gif.convert("L").getpixel((0, 0)) // 20)
    assert found == shown


def test_frames_of_a_gif_share_one_palette_of_all_of_them(tmp_path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue", "#404040")]
    save_gif(frames, tmp_path / "x.gif")
    with Image.open(tmp_path / "x.gif") as gif:
        palettes = set()
        for i, frame in enumerate(frames):
            gif.seek(i)
            palettes.add(bytes(gif.global_palette.getdata()[1]))
            pair = zip(gif.convert("RGB").getpixel((8, 8)), frame.getpixel((8, 8)), strict=True)
            assert all(abs(found - meant) <= 4 for found, meant in pair)
    assert len(palettes) == 1


def test_large_frames_are_made_smaller(tmp_path):
    Image.new("RGB", (3000, 1500), "red").save(tmp_path / "1.png")
    join_gif([tmp_path / "1.png"], tmp_path / "x.gif")
    with Image.open(tmp_path / "x.gif") as gif:
        assert gif.size == (1024, 512)
