import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from ganforge.retouch.marks import PACKET, TERM, WRITABLE, is_marked, marked, write


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(256, size=(20, 30, 3)).astype(np.uint8))


@pytest.mark.parametrize("suffix", WRITABLE)
@pytest.mark.parametrize("mark", [True, False])
def test_every_format_says_so_unless_told_not_to(suffix, mark, picture, tmp_path):
    path = tmp_path / f"a{suffix}"
    write(picture, path, picture, mark)
    assert is_marked(path) == mark
    # Read from the bytes as any other program does: the statement stands there in the clear.
    assert (TERM.encode() in path.read_bytes()) == mark


def test_formats_without_loss_keep_every_pixel(picture, tmp_path):
    for suffix in (".png", ".tif"):
        write(picture, tmp_path / f"a{suffix}", picture, True)
        assert (np.asarray(Image.open(tmp_path / f"a{suffix}")) == np.asarray(picture)).all()


def test_what_a_picture_said_before_is_kept(picture, tmp_path):
    earlier = PACKET.replace(TERM, "http://example.org/other").replace("ganforge", "camera")
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", earlier)
    picture.save(tmp_path / "before.png", pnginfo=text)
    exif = picture.getexif()
    exif[0x010E] = "a holiday"
    picture.save(tmp_path / "before.jpg", exif=exif, xmp=earlier.encode())
    for name in ("before.png", "before.jpg"):
        with Image.open(tmp_path / name) as like:
            like.load()
        out = tmp_path / "out" / name
        write(picture, out, like, True)
        assert is_marked(out)
        assert b"example.org/other" in out.read_bytes()
        kept = tmp_path / "kept" / name
        write(picture, kept, like, False)
        assert not is_marked(kept)
        assert b"example.org/other" in kept.read_bytes()
    assert Image.open(tmp_path / "out" / "before.jpg").getexif()[0x010E] == "a holiday"


def test_marking_twice_says_it_once():
    once = marked(None)
    assert marked(once) == once
    assert marked(b"no xmp at all") == once
