import io

import numpy as np
import pytest
from PIL import Image

from ganforge.data.decode import Decoder


def encode(image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def test_the_centre_is_cropped_or_everything_is_squeezed_or_padded():
    levels = np.zeros((8, 24), np.uint8)
    levels[:, 8:16] = 100  # the centre square
    data = encode(Image.fromarray(levels))
    cropped = Decoder(8, 1, "crop").decode(data)
    assert cropped.shape == (1, 8, 8)
    assert np.unique(cropped).tolist() == [100]
    squeezed = Decoder(8, 1, "resize").decode(data)[0, 0]
    assert max(squeezed[0], squeezed[-1]) < 10
    assert squeezed[3:5].tolist() == pytest.approx([100, 100], abs=10)
    padded = Decoder(8, 1, "pad", fill=200).decode(data)[0]
    assert padded[0].tolist() == padded[-1].tolist() == [200] * 8
    assert padded[4, 0] < 10


def test_another_size_is_lanczos():
    levels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    expected = Image.fromarray(levels).resize((8, 8), Image.Resampling.LANCZOS)
    found = Decoder(8, 3, "crop").decode(encode(Image.fromarray(levels)))
    assert np.array_equal(found.transpose(1, 2, 0), np.asarray(expected))


@pytest.mark.parametrize(("mode", "clear"), [("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))])
def test_transparency_is_composited_on_white(mode, clear):
    data = encode(Image.new(mode, (8, 8), clear))
    assert np.unique(Decoder(8, 3).decode(data)).tolist() == [255]
    half = encode(Image.new("RGBA", (8, 8), (0, 0, 0, 128)))
    assert np.unique(Decoder(8, 1).decode(half)).tolist() == [127]


def test_palette_images_with_and_without_transparency():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    assert Decoder(8, 3).decode(encode(image))[:, 0, 0].tolist() == [200, 100, 50]
    clear = encode(image, transparency=1)
    assert Decoder(8, 3).decode(clear)[:, 0, 0].tolist() == [255, 255, 255]


def test_sixteen_bit_grey_keeps_its_level():
    data = encode(Image.new("I;16", (8, 8), 257 * 90))
    assert np.unique(Decoder(8, 1).decode(data)).tolist() == [90]


def test_the_camera_orientation_is_applied():
    levels = np.zeros((8, 8), np.uint8)
    levels[0] = 255  # top row; orientation 3 turns it to the bottom
    exif = Image.Exif()
    exif[0x0112] = 3
    rows = Decoder(8, 1).decode(encode(Image.fromarray(levels), exif=exif))[0, :, 0]
    assert (rows[0], rows[-1]) == (0, 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour(channels):
    found = Decoder(8, channels).decode(encode(Image.new("RGB", (8, 8), (255, 0, 0))))
    assert found.dtype == np.uint8
    assert found[:, 0, 0].tolist() == ([76] if channels == 1 else [255, 0, 0])
