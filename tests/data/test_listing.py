"""What is listed as an image, what is left out, and a digest that follows the content."""

import io
import os
import socket
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from ganforge.data.decode import Decoder, decode_files
from ganforge.data.ends import looks_whole
from ganforge.data.image_folder import ImageFolder
from ganforge.data.listing import left_out, list_images
from ganforge.data.module import ImageDataModule
from ganforge.utils.errors import DamagedFileError, UserError


def picture(level=0, kind="PNG", size=(12, 12), **options):
    file = io.BytesIO()
    Image.new("RGB", size, (level,) * 3).save(file, kind, **options)
    return file.getvalue()


def noise(seed=0, kind="JPEG", side=64):
    file = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(values).save(file, kind)
    return file.getvalue()


def write(root, files):
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def packed(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def split_sizes(root, tmp_path, **options):
    source = ImageFolder(root, workers=1, **options)
    data = ImageDataModule("x", source, (3, 8, 8), tmp_path / "cache", channels=3, size=8)
    return {split: len(data.split(split)) for split in ("train", "test")}, data


BESIDE = {
    "a/@eaDir/0.png/SYNOFILE_THUMB_M.jpg": b"x", "@eaDir/t.jpg": b"x", ".thumbnails/t.png": b"x",
    "#recycle/old.png": b"x", "$RECYCLE.BIN/old.png": b"x", "__MACOSX/a/._0.png": b"x",
    ".DS_Store": b"x", "Thumbs.db": b"x", "desktop.ini": b"x", "lost+found/x.png": b"x",
}  # fmt: skip


@pytest.mark.parametrize("as_zip", [False, True])
def test_what_systems_put_beside_pictures_is_no_data(tmp_path, as_zip):
    files = {"a/0.png": picture(), "b.jpg": picture(kind="JPEG"), **BESIDE}
    root = packed(tmp_path / "x.zip", files) if as_zip else write(tmp_path / "x", files)
    listing = list_images(root)
    assert listing.names == ["a/0.png", "b.jpg"]
    assert left_out(listing) is None


@pytest.mark.parametrize("as_zip", [False, True])
def test_what_is_left_out_is_counted_by_suffix(tmp_path, as_zip, monkeypatch, capsys):
    monkeypatch.setattr("ganforge.data.listing.SUFFIXES", frozenset((".png",)))
    files = {f"{i}.png": picture(i) for i in range(9)}
    files |= {f"{i}.HEIC": b"x" for i in range(4)} | {"notes.txt": b"x", "README": b"x"}
    root = packed(tmp_path / "x.zip", files) if as_zip else write(tmp_path / "x", files)
    split_sizes(root, tmp_path)
    said = " ".join(capsys.readouterr().err.split())
    assert "6 files that are not read as images (4 .heic, 1 .txt, 1 no suffix)" in said.replace(
        "1 no suffix, 1 .txt", "1 .txt, 1 no suffix"
    )
    assert "pip install 'ganforge[heic]'" in said


def test_heif_alone_names_what_reads_it(tmp_path, monkeypatch):
    monkeypatch.setattr("ganforge.data.listing.SUFFIXES", frozenset((".png",)))
    with pytest.raises(UserError, match=r"no images among its 1 files \(1 \.heif\).*\[heic\]"):
        _ = list_images(write(tmp_path / "x", {"a.heif": b"x"})).names


@pytest.mark.parametrize("suffix", ["avif", "heic", "webp", "jp2", "apng"])
def test_newer_formats_are_read(tmp_path, suffix):
    if suffix == "heic":
        pytest.importorskip("pillow_heif")
    kind = {"heic": "HEIF", "jp2": "JPEG2000", "apng": "PNG"}.get(suffix, suffix.upper())
    files = {f"{i}.{suffix}": picture(200, kind) for i in range(4)}
    sizes, data = split_sizes(write(tmp_path / "x", files), tmp_path)
    assert sizes == {"train": 3, "test": 1}
    assert data.split("train").images.float().mean() == pytest.approx(200, abs=3)


def test_backslashes_of_windows_are_folders(tmp_path):
    files = {f"set\\{c}\\{i}.png": picture(v) for c, v in (("cat", 9), ("dog", 90)) for i in "abc"}
    _, data = split_sizes(packed(tmp_path / "x.zip", files), tmp_path)
    assert data.class_names == ["cat", "dog"]
    train = data.split("train")
    assert (train.images[:, 0, 0, 0] == 90).long().tolist() == train.labels.tolist()


@pytest.mark.parametrize("as_zip", [False, True])
def test_equal_sizes_and_times_are_told_apart_by_content(tmp_path, as_zip):
    digests = []
    for kind in ("one", "two"):
        files = {f"{i}.bmp": picture(i + 90 * (kind == "two"), "BMP") for i in range(4)}
        root = tmp_path / kind / "x"
        root.parent.mkdir()
        root = packed(root, files) if as_zip else write(root, files)
        for path in [root] if as_zip else root.iterdir():
            os.utime(path, ns=(10**18, 10**18))
        digests.append(list_images(root, tmp_path / "memo").digest)
    assert digests[0] != digests[1]


def test_a_change_within_a_remembered_folder_is_seen(tmp_path):
    root, memo = write(tmp_path / "x", {"a.bmp": picture(1, "BMP")}), tmp_path / "memo"
    before = list_images(root, memo).digest
    times = (root / "a.bmp").stat().st_mtime_ns
    (root / "a.bmp").write_bytes(picture(2, "BMP"))
    os.utime(root / "a.bmp", ns=(times, times))
    assert list_images(root, memo).digest != before


def test_unchanged_files_are_not_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr("ganforge.data.listing.SETTLED_NS", -(10**12))
    root, memo = write(tmp_path / "x", {"a.png": picture(1), "b.png": picture(2)}), tmp_path / "m"
    digest = list_images(root, memo).digest
    assert digest == list_images(root).digest
    monkeypatch.setattr("ganforge.data.listing._look", None)
    assert list_images(root, memo).digest == digest
    monkeypatch.undo()
    (next((memo / "listings").iterdir())).write_text("{not json")
    assert list_images(root, memo).digest == digest


def test_a_large_file_is_known_by_parts_and_its_time(tmp_path):
    data = bytearray(picture(5, "BMP", (300, 300)))
    root = write(tmp_path / "x", {"a.bmp": bytes(data)})
    before = list_images(root).digest
    assert before == list_images(root).digest
    data[len(data) // 3 + 9] ^= 1
    times = (root / "a.bmp").stat().st_mtime_ns
    write(root, {"a.bmp": bytes(data)})
    os.utime(root / "a.bmp", ns=(times, times))
    assert list_images(root).digest != before


def test_names_that_are_not_utf8(tmp_path, capsys):
    root = tmp_path / "x"
    root.mkdir()
    for i in range(6):
        with open(os.fsencode(root) + b"/%d\xff.png" % i, "wb") as file:
            file.write(picture(i))
    with open(os.fsencode(root) + b"/bad\xfe.png", "wb") as file:
        file.write(b"x")
    sizes, _ = split_sizes(root, tmp_path, on_bad_image="skip")
    assert sum(sizes.values()) == 6
    assert "bad\\udcfe.png" in capsys.readouterr().err
    with pytest.raises(DamagedFileError, match=r"bad.*\.png"):
        split_sizes(root, tmp_path)


def special(path: Path, kind: str) -> Path:
    if kind == "pipe":
        os.mkfifo(path)
    else:
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.close()
    return path


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_no_file_neither_hangs_nor_passes(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"is a (named )?{kind}, neither a folder nor a zip"):
        list_images(special(Path("root"), kind))
    root = write(Path("x"), {f"{i}.png": picture(i) for i in range(6)})
    special(root / "odd.png", kind)
    with pytest.raises(DamagedFileError, match=r"odd\.png \("):
        split_sizes(root, tmp_path)
    sizes, _ = split_sizes(root, tmp_path, on_bad_image="skip")
    assert sum(sizes.values()) == 6


@pytest.mark.parametrize("place", ["/proc", "/dev", "/proc/self", "/sys"])
def test_folders_of_the_system_are_refused(tmp_path, place):
    with pytest.raises(UserError, match="belongs to the system"):
        _ = list_images(place).names
    write(tmp_path / "x", {"a.png": picture()})
    (tmp_path / "x/link").symlink_to(place)
    with pytest.raises(UserError, match="remove the link"):
        _ = list_images(tmp_path / "x").names
    with pytest.raises(UserError, match=r"is a device|belongs to the system"):
        _ = list_images("/dev/null").names


def test_links_that_lead_back_end(tmp_path):
    root = write(tmp_path / "x", {"a/0.png": picture()})
    (root / "a/up").symlink_to(root)
    (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert list_images(root).names == ["a/0.png", "gone.png"]
    with pytest.raises(DamagedFileError, match=r"gone\.png \(No such file"):
        split_sizes(root, tmp_path)


def test_an_unreadable_subfolder_is_an_error_unless_skipped(tmp_path, monkeypatch, capsys):
    root = write(tmp_path / "x", {f"{c}/{i}.png": picture(i) for c in "abc" for i in range(4)})
    scandir = os.scandir

    def denied(path):
        if str(path).rstrip("/").endswith("/b"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", denied)
    with pytest.raises(DamagedFileError, match=r"b/ \(Permission denied\).*on_bad_image=skip"):
        split_sizes(root, tmp_path)
    sizes, _ = split_sizes(root, tmp_path, on_bad_image="skip")
    assert sum(sizes.values()) == 8
    assert "b/ (Permission denied)" in capsys.readouterr().err


def test_a_root_that_cannot_be_looked_into_is_not_called_empty(tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", denied)
    with pytest.raises(DamagedFileError, match="Permission denied"):
        _ = list_images(tmp_path).names


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_cut_files_are_known_by_their_ends(kind):
    data = noise(kind=kind)
    assert looks_whole(data, data, len(data))
    cut = data[:-40]
    assert not looks_whole(cut, cut, len(cut))


@pytest.mark.parametrize(
    "data", [b"", b"x", b"not an image", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"II*\0"]
)
def test_other_files_do_not_look_like_images(data):
    assert not looks_whole(data, data, len(data))


@pytest.mark.parametrize("as_zip", [False, True])
def test_all_bad_images_are_named_at_once_before_any_other_is_decoded(
    tmp_path, monkeypatch, as_zip
):
    files = {f"{i:03}.jpg": noise(i, side=16) for i in range(300)}
    files |= {"cut.jpg": noise()[:-200], "text.png": b"text", "zero.png": b""}
    root = packed(tmp_path / "x.zip", files) if as_zip else write(tmp_path / "x", files)
    monkeypatch.setattr("ganforge.data.decode.LOOK", -1)
    with pytest.raises(DamagedFileError) as told:
        split_sizes(root, tmp_path)
    assert str(told.value).startswith("3 images in")
    assert "were not decoded" in str(told.value)
    assert all(name in str(told.value) for name in ("cut.jpg", "text.png", "zero.png"))


def test_bad_images_of_both_splits_are_named_at_once(tmp_path):
    broken = bytearray(noise(kind="PNG"))
    broken[len(broken) // 2] ^= 255  # whole at both ends
    files = {f"{split}/{i}.png": picture(i) for split in ("train", "test") for i in range(4)}
    files |= {"train/bad1.png": bytes(broken), "test/bad2.png": bytes(broken)}
    with pytest.raises(DamagedFileError, match=r"2 images .*bad1\.png.*bad2\.png.*=skip"):
        split_sizes(write(tmp_path / "x", files), tmp_path)


def test_files_with_something_behind_their_end_are_read(tmp_path):
    files = {f"{i}.jpg": noise(i) + b"trailer" * 500 for i in range(4)}
    sizes, _ = split_sizes(write(tmp_path / "x", files), tmp_path)
    assert sum(sizes.values()) == 4


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_pages_are_counted_and_said(tmp_path, kind, capsys):
    frames = [Image.new("RGB", (8, 8), (60 * i,) * 3) for i in range(3)]
    (tmp_path / "x").mkdir()
    path = tmp_path / "x" / f"many.{kind.lower()}"
    frames[1].save(path, kind, save_all=True, append_images=frames[2:])
    write(tmp_path / "x", {"one.png": picture(7)})
    listing = list_images(tmp_path / "x")
    (part,) = decode_files(listing, listing.names, Decoder(8, 1), "reading", workers=1)
    assert part.images[:, 0, 0, 0].tolist() == pytest.approx([60, 7], abs=2)
    said = " ".join(capsys.readouterr().err.split())
    assert f"1 of 2 images have several pages or frames ({path.name} 2; 2 in all)" in said


def test_a_long_look_shows_itself_and_a_short_one_does_not(tmp_path, monkeypatch, capsys):
    root = write(tmp_path / "x", {f"{i}.png": picture(i) for i in range(6)})
    _ = list_images(root).digest
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("ganforge.data.parallel.PATIENCE", -1)
    monkeypatch.setattr("ganforge.utils.terminal.Console", partial(Console, force_terminal=True))
    _ = list_images(root).digest
    said = capsys.readouterr().err
    assert "listing files" in said
    assert "looking at the images" in said


def test_pictures_that_training_drew_are_no_data(tmp_path):
    """A run whose folder lies among its data trains on the same data when it goes on."""
    for name in ("a.png", "run/samples/step_000002.png", "sweep/0/samples/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "run" / ".hydra").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text("{}")
    listing = list_images(tmp_path)
    assert listing.names == ["a.png"]
    assert "2 run of ganforge" in left_out(listing)
    # One that is named itself is what was asked for.
    assert list_images(tmp_path / "run").names == ["samples/step_000002.png"]
