"""Images of more than eight bits: one range for the whole data set, or a sentence that asks."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from ganforge.data.decode import Decoder, Levels, decode_files
from ganforge.data.levels import same_range
from ganforge.data.listing import list_images
from ganforge.utils.errors import DamagedFileError, UserError


def saved(root, arrays, suffix="tif", **options):
    root.mkdir()
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(root / f"{i}.{suffix}", **options)
    return root


def decoded(root, value_range=None, channels=1, size=4, on_bad="raise"):
    listing = list_images(root)
    levels = Levels(listing, same_range(value_range, "data.source.value_range"), "range", 1)
    decoder = Decoder(size, channels)
    parts = decode_files(listing, listing.names, decoder, "reading", on_bad, 1, None, levels)
    return np.concatenate([part.images for part in parts])[:, 0, 0, 0].tolist()


def flat(dtype, *levels):
    return [np.full((4, 4), level, dtype) for level in levels]


@pytest.mark.parametrize(
    ("dtype", "levels", "expected"),
    [
        (np.uint16, (0, 0x1010, 0xFFFF), [0, 16, 255]),  # 16 bits
        (np.uint16, (0, 2040, 4080), [0, 127, 254]),  # 12 bits in 16
        (np.uint16, (0, 512, 1023), [0, 128, 255]),  # 10
        (np.uint16, (0, 100, 255), [0, 100, 255]),  # 8
        (np.int32, (0, 100, 255), [0, 100, 255]),
        (np.int32, (0, 2040, 4080), [0, 127, 254]),
        (np.int32, (0, 257 * 90, 65535), [0, 90, 255]),
        (np.float32, (0, 0.5, 1), [0, 128, 255]),
        (np.float32, (0, 90, 255), [0, 90, 255]),
        (np.float32, (0, 1.5, 254.5), [0, 2, 254]),
    ],
)
def test_the_values_of_all_files_tell_the_range(tmp_path, dtype, levels, expected):
    root = saved(tmp_path / "x", flat(dtype, *levels))
    assert decoded(root) == pytest.approx(expected, abs=1)


def test_relative_brightness_is_kept_and_the_range_is_said(tmp_path, capsys):
    root = saved(tmp_path / "x", flat(np.uint16, 300, 3000), suffix="png")
    assert decoded(root) == [round(300 / 4095 * 255), round(3000 / 4095 * 255)]
    assert "16 bit values from 300 to 3000 are read as 0 (black) to 4095 (white)" in (
        capsys.readouterr().err.replace("\n", " ")
    )


@pytest.mark.parametrize(
    ("dtype", "levels", "words"),
    [
        (np.int32, (-1000, 400), "32 bit values .* run from -1000 to 400"),
        (np.int32, (0, 100_000), "32 bit values"),
        (np.float32, (-1, 1), "floating point values"),
        (np.float32, (0, 1.5), "floating point values"),
        (np.float32, (0, 3000), "floating point values"),
    ],
)
def test_what_cannot_be_known_is_asked_for(tmp_path, dtype, levels, words):
    root = saved(tmp_path / "x", flat(dtype, *levels))
    with pytest.raises(UserError, match=rf"{words}.*range=\[BLACK,WHITE\]"):
        decoded(root)
    assert decoded(root, value_range=list(levels)) == [0, 255]


def test_a_given_range_holds_for_every_kind(tmp_path):
    root = saved(tmp_path / "x", flat(np.uint16, 0, 100, 200, 300))
    assert decoded(root, value_range=[0, 200]) == [0, 128, 255, 255]


@pytest.mark.parametrize("wrong", [[1], [2, 1], "0", 7, ["a", "b"], [0, float("inf")], [0, 1, 2]])
def test_impossible_ranges(wrong):
    with pytest.raises(UserError, match=r"value_range=.* is no range"):
        same_range(wrong, "data.source.value_range")


def test_twelve_bits_that_the_file_declares(tmp_path):
    rows = [np.array([0x000, 0x800, 0xFFF, 0x800] * 4, np.uint16).reshape(4, 4)]
    # Two values of 12 bits in three bytes, as scanners write them.
    pairs = rows[0].reshape(-1, 2).astype(int)
    packed = b"".join(bytes((a >> 4, (a & 15) << 4 | b >> 8, b & 255)) for a, b in pairs)
    ifd = TiffImagePlugin.ImageFileDirectory_v2()
    facts = {256: 4, 257: 4, 258: 12, 259: 1, 262: 1, 273: 0, 277: 1, 278: 4, 279: len(packed)}
    for tag, value in facts.items():
        ifd[tag] = value
    body = io.BytesIO()
    ifd.save(body)  # it adds its own length to where the pixels begin
    (tmp_path / "x").mkdir()
    (tmp_path / "x/a.tif").write_bytes(body.getvalue() + packed)
    listing = list_images(tmp_path / "x")
    (part,) = decode_files(listing, ["a.tif"], Decoder(4, 1), "reading", workers=1)
    assert part.images[0, 0, 0].tolist() == [0, 128, 255, 128]


def test_white_may_be_zero(tmp_path):
    root = saved(tmp_path / "x", flat(np.uint16, 0, 65535), tiffinfo={262: 0})
    assert decoded(root) == [255, 0]


def deep_png(*colours):
    """Pillow writes no colours of 16 bits: a hand-made PNG of 4×4, its channels at these levels."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    rows = (b"\0" + struct.pack(f">{len(colours)}H", *colours) * 4) * 4
    kind = {2: 4, 3: 2, 4: 6}[len(colours)]
    head = struct.pack(">IIBBBBB", 4, 4, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, data)
        for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


@pytest.mark.parametrize(("channels", "opaque"), [(3, None), (3, 65535), (1, 65535)])
def test_dark_colours_of_sixteen_bits_are_told(tmp_path, channels, opaque):
    def colours(level):
        return [level] * channels + ([opaque] if opaque else [])

    root = tmp_path / "x"
    root.mkdir()
    (root / "a.png").write_bytes(deep_png(*colours(4000)))
    with pytest.raises(UserError, match=r"colour images of 16 bit .* lower 12 bits.*=\[0,65535\]"):
        decoded(root, channels=3)
    assert decoded(root, channels=3, value_range=[0, 65535]) == [15]
    (root / "b.png").write_bytes(deep_png(*colours(60000)))
    assert decoded(root, channels=3) == [15, 234]


def test_values_that_are_no_numbers_are_a_bad_image(tmp_path):
    root = saved(tmp_path / "x", flat(np.float32, 0.5, np.nan, 1))
    with pytest.raises(DamagedFileError, match=r"1\.tif \(it holds NaN or infinity\)"):
        decoded(root)
    assert decoded(root, on_bad="skip") == [128, 255]
    alone = saved(tmp_path / "y", flat(np.float32, np.nan))
    with pytest.raises(DamagedFileError, match="NaN"):
        decoded(alone)


def test_deep_and_usual_images_side_by_side_in_a_pool(tmp_path):
    usual = [np.full((4, 4), i % 250, np.uint8) for i in range(520)]
    root = saved(tmp_path / "x", usual, suffix="png")
    Image.fromarray(flat(np.uint16, 4095)[0]).save(root / "900.png")
    listing = list_images(root)
    names = sorted(listing.names, key=lambda name: int(name[:-4]))
    parts = decode_files(listing, names, Decoder(4, 1), "reading", workers=2)
    levels = np.concatenate([part.images for part in parts])[:, 0, 0, 0].tolist()
    assert levels == [i % 250 for i in range(520)] + [255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_eight_bits_of_every_mode(tmp_path, mode):
    root = tmp_path / "x"
    root.mkdir()
    image = Image.new("RGB" if mode in ("PA", "LAB") else mode, (4, 4), 0)
    (image if mode == "PA" else image.convert(mode) if mode != "LAB" else image).save(
        root / "a.tif" if mode not in ("PA", "LAB") else root / "a.png"
    )
    assert decoded(root) in ([0], [255], [1])
