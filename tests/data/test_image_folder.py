import io
import zipfile

import pytest
from PIL import Image

from ganforge.data.image_folder import ImageFolder
from ganforge.data.module import ImageDataModule
from ganforge.utils.errors import DamagedFileError, UserError


def png(level=0, size=(12, 12), mode="L", kind="PNG"):
    file = io.BytesIO()
    color = level if mode in ("L", "1", "I;16") else (level,) * len(mode)
    Image.new(mode, size, color).save(file, kind)
    return file.getvalue()


def write(root, files):
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def load(tmp_path):
    def module(path, size=8, channels=1, **options):
        return ImageDataModule(
            "image_folder",
            ImageFolder(path, workers=1, **options),
            (channels, size, size),
            tmp_path / "cache",
            channels=channels,
            size=size,
            batch_size=4,
        )

    return module


def levels(split):
    return sorted(split.images[:, 0, 0, 0].tolist())


FLAT = {f"{i:02}.png": png(i * 10) for i in range(20)}


def test_a_flat_folder_is_divided_by_name_and_has_no_labels(load, tmp_path):
    data = load(write(tmp_path / "flat", FLAT))
    assert (len(data.split("train")), len(data.split("test"))) == (18, 2)
    assert levels(data.split("train")) + levels(data.split("test")) != []
    assert sorted(levels(data.split("train")) + levels(data.split("test"))) == list(
        range(0, 200, 10)
    )
    assert data.class_names is None
    assert data.split("train").labels is None


def test_folder_and_zip_hold_the_same(load, tmp_path):
    folder = load(write(tmp_path / "flat", FLAT))
    archive = load(write_zip(tmp_path / "flat.zip", {f"top/{n}": d for n, d in FLAT.items()}))
    assert sorted(levels(archive.split("train")) + levels(archive.split("test"))) == list(
        range(0, 200, 10)
    )
    assert len(archive.split("test")) == len(folder.split("test"))


def test_class_folders_give_labels(load, tmp_path):
    files = {f"{name}/{i}.png": png(level + i) for name, level in (("cat", 0), ("dog", 100))
             for i in range(10)}  # fmt: skip
    data = load(write(tmp_path / "pets", files | {"notes.txt": b"x"}), test_fraction=0.3)
    assert data.class_names == ["cat", "dog"]
    for split in ("train", "test"):
        images = data.split(split)
        assert (images.images[:, 0, 0, 0] >= 100).long().tolist() == images.labels.tolist()
    assert len(data.split("test")) == 6


@pytest.mark.parametrize("test", ["test", "val", "valid"])
def test_folders_named_train_and_test_are_the_splits(load, tmp_path, test):
    files = {f"train/a/{i}.png": png(i) for i in range(5)} | {f"{test}/b/x.png": png(200)}
    data = load(write(tmp_path / "set", files))
    assert levels(data.split("train")) == list(range(5))
    assert levels(data.split("test")) == [200]
    assert data.class_names == ["a", "b"]
    assert data.split("test").labels.tolist() == [1]


def test_named_folders_are_the_splits(load, tmp_path):
    files = {f"new/one/{i}.png": png(i) for i in range(4)} | {
        "new/two/x.png": png(50),
        "old/y.png": png(90),
    }
    root = write(tmp_path / "set", files)
    data = load(root, train_folder="new/one", test_folder="new/two")
    assert (levels(data.split("train")), levels(data.split("test"))) == ([0, 1, 2, 3], [50])
    part = load(root, train_folder="new/one")
    assert sorted(levels(part.split("train")) + levels(part.split("test"))) == [0, 1, 2, 3]
    with pytest.raises(UserError, match="no images in a folder 'newer'"):
        load(root, train_folder="newer").setup()
    with pytest.raises(UserError, match="train_folder beside it"):
        load(root, test_folder="old")


def test_changed_files_are_read_again(load, tmp_path):
    root = write(tmp_path / "flat", {"a.png": png(1), "b.png": png(1)})
    assert load(root).split("train").images.unique().tolist() == [1]
    write(root, {"a.png": png(255, size=(30, 30)), "b.png": png(255, size=(30, 30))})
    assert load(root).split("train").images.unique().tolist() == [255]


BAD = {
    "cut.png": png(7, size=(64, 64), kind="JPEG")[:-300],
    "text.png": b"not an image",
    "empty.png": b"",
}


@pytest.mark.parametrize("name", list(BAD))
@pytest.mark.parametrize("packed", [False, True])
def test_a_bad_image_is_named_with_the_reason(load, tmp_path, name, packed):
    files = {**FLAT, name: BAD[name]}
    root = write_zip(tmp_path / "x.zip", files) if packed else write(tmp_path / "x", files)
    with pytest.raises(DamagedFileError, match=rf"{name} \(.+\).*on_bad_image=skip"):
        load(root).setup()


def test_skipping_says_how_many_and_which(load, tmp_path, capsys):
    root = write(tmp_path / "x", {**FLAT, **BAD})
    data = load(root, on_bad_image="skip")
    assert len(data.split("train")) + len(data.split("test")) == 20
    said = capsys.readouterr().err
    assert "Skipped" in said
    assert all(name in said for name in BAD)
    load(root, on_bad_image="skip").setup()
    assert capsys.readouterr().err == ""


def test_nothing_left_after_skipping(load, tmp_path):
    with pytest.raises(UserError, match=r"None of the 2 train images.*a\.png"):
        load(write(tmp_path / "x", {f"{n}.png": b"x" for n in "abc"}), on_bad_image="skip").setup()


def test_labels_stay_with_their_images_when_some_are_skipped(load, tmp_path):
    files = {f"train/{c}/{i}.png": png(v + i) for c, v in (("a", 0), ("b", 100)) for i in range(4)}
    files |= {"train/a/1.png": b"bad", "test/a/0.png": png(5)}
    train = load(write(tmp_path / "x", files), on_bad_image="skip").split("train")
    assert train.images[:, 0, 0, 0].tolist() == [0, 2, 3, 100, 101, 102, 103]
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_a_decompression_bomb_is_named(load, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for side in (40, 60):  # Pillow warns above its limit and refuses above twice its limit
        files = {**FLAT, "bomb.png": png(0, size=(side, side))}
        with pytest.raises(DamagedFileError, match=r"bomb\.png \(.*decompression bomb"):
            load(write(tmp_path / f"x{side}", files)).setup()


def test_a_member_that_unpacks_to_far_too_much_is_named(load, tmp_path, monkeypatch):
    monkeypatch.setattr("ganforge.data.archive.LARGEST_MEMBER", 10_000)
    root = write_zip(tmp_path / "x.zip", {**FLAT, "big.png": b"0" * 20_000})
    with pytest.raises(DamagedFileError, match=r"big\.png \(it would unpack to"):
        load(root).setup()


@pytest.mark.parametrize("name", ["../out.png", "/etc/out.png", "a/../../out.png", "C:/out.png"])
def test_a_member_outside_of_the_archive_is_refused(load, tmp_path, name):
    root = write_zip(tmp_path / "x.zip", {**FLAT, name: png()})
    with pytest.raises(UserError, match=r"not to be trusted.*out\.png"):
        load(root).setup()


def test_places_without_images(load, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is empty"):
        load(tmp_path / "empty").setup()
    with pytest.raises(UserError, match=r"no images among its 2 files \(2 \.txt\)"):
        load(write(tmp_path / "texts", {"a.txt": b"x", "b.txt": b"y"})).setup()
    with pytest.raises(UserError, match=r"There is no folder or zip archive '.*nowhere'"):
        load(tmp_path / "nowhere").setup()
    with pytest.raises(UserError, match="neither a folder nor a zip"):
        load(write(tmp_path, {"list.txt": b"x"}) / "list.txt").setup()
    with pytest.raises(UserError, match="one image; at least two"):
        load(write(tmp_path / "one", {"a.png": png()})).setup()


def test_a_damaged_zip(load, tmp_path):
    path = write_zip(tmp_path / "x.zip", FLAT)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DamagedFileError, match="damaged or cut off"):
        load(path).setup()
    at = data.index(b"IDAT") + 6
    path.write_bytes(data[:at] + b"\xff\xff" + data[at + 2 :])
    with pytest.raises(DamagedFileError, match=r"00\.png \(Bad CRC-32"):
        load(path).setup()


def test_hidden_files_are_not_images(load, tmp_path):
    files = {**FLAT, "__MACOSX/._a.png": b"x", ".thumbs/b.png": b"x", "Thumbs.db": b"x"}
    data = load(write_zip(tmp_path / "x.zip", files))
    assert len(data.split("train")) + len(data.split("test")) == 20


def test_fewer_images_than_a_batch(load, tmp_path):
    data = load(write(tmp_path / "x", dict(list(FLAT.items())[:4])))
    with pytest.raises(UserError, match=r"3 training images.*data\.batch_size"):
        data.train_dataloader()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fit": "squash"}, "fit is 'squash': choose crop or resize or pad"),
        ({"on_bad_image": "ignore"}, "on_bad_image is 'ignore'"),
        ({"test_fraction": 0}, "test_fraction is 0"),
        ({"test_fraction": 1.5}, "test_fraction is 1.5"),
        ({"size": 0}, "data.size is 0"),
        ({"size": 5000}, "not 5000"),
    ],
)
def test_impossible_options(load, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, **options)


def test_a_pool_reads_the_same_as_one_process(load, tmp_path):
    files = {f"{i:03}.png": png(i % 250) for i in range(600)}
    root = write_zip(tmp_path / "x.zip", files)
    alone = load(root).content_hash("train")
    pool = ImageDataModule(
        "pool", ImageFolder(root, workers=2), (1, 8, 8), tmp_path / "cache", channels=1, size=8
    )
    assert pool.content_hash("train") == alone
