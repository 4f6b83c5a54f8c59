"""Archives that mean harm are one sentence, and nothing of them is unpacked."""

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from ganforge.data.archive import check_members
from ganforge.data.decode import Decoder, open_picture
from ganforge.data.listing import list_images
from ganforge.utils.errors import UserError


def png(size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "white").save(file, kind)
    return file.getvalue()


def packed(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "name", ["../a.png", "/a.png", "b/../../a.png", "C:/a.png", "..\\a.png", "b\\..\\..\\a.png"]
)
def test_a_member_outside_is_refused(name: str, tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", ("ok.png", png()), (name, png()))
    with pytest.raises(UserError, match=r"not to be trusted: its member .*a\.png' lies outside"):
        _ = list_images(path).names


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", ("ok.png", png()), (link("passwd.png"), b"/etc/passwd"))
    with pytest.raises(UserError, match=r"its member 'passwd\.png' is a symbolic link"):
        _ = list_images(path).names


def test_a_bomb_is_refused_before_anything_is_unpacked(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("ganforge.data.archive.UNSUSPECTED", 1 << 20)
    monkeypatch.setattr(zipfile.ZipFile, "read", None)
    zeros = [(f"{i}.png", bytes(1 << 20)) for i in range(4)]
    path = packed(tmp_path / "x.zip", *zeros)
    with pytest.raises(UserError, match=r"KiB would unpack to 4 MiB, as those of a bomb do"):
        _ = list_images(path).names


def test_flat_bitmaps_of_a_usual_size_are_no_bomb(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", *[(f"{i}.bmp", png((256, 256), "BMP")) for i in range(20)])
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        assert unpacked > 100 * path.stat().st_size
        check_members(archive, path)
    assert len(list_images(path).names) == 20


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("ganforge.data.archive.MOST_MEMBERS", 2)
    path = packed(tmp_path / "x.zip", *[(f"{i}.png", png()) for i in range(3)])
    with pytest.raises(UserError, match="it names 3 files"):
        _ = list_images(path).names


def test_a_directory_that_lies_about_a_size_gives_no_more_than_it_says(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", ("a.png", bytes(100_000)))
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    assert struct.unpack_from("<I", data, at + 24) == (100_000,)
    struct.pack_into("<I", data, at + 24, 10)
    path.write_bytes(data)
    with pytest.raises((zipfile.BadZipFile, OSError)):
        list_images(path).read("a.png")


def test_a_name_that_occurs_twice_is_one_image(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = packed(tmp_path / "x.zip", ("a.png", png((4, 4))), ("a.png", png((6, 6))))
    listing = list_images(path)
    assert listing.names == ["a.png"]
    assert open_picture(listing.read("a.png")).size == (6, 6)


def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for side in (11, 20):  # Pillow itself only warns up to twice its limit
        with pytest.raises(
            (Image.DecompressionBombError, Image.DecompressionBombWarning), match="bomb"
        ):
            open_picture(png((side, side)))


def test_postscript_under_the_name_of_an_image_reaches_no_interpreter() -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(touch executed) run\n"
    assert Image.open(io.BytesIO(eps)).format == "EPS"  # without our list of formats
    with pytest.raises(Image.UnidentifiedImageError):
        Decoder(8, 3).decode(eps)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TGA",
                                  "TIFF", "WEBP"])  # fmt: skip
def test_every_kind_that_is_listed_is_read(kind: str) -> None:
    assert Decoder(8, 3).decode(png((16, 16), kind)).shape == (3, 8, 8)
