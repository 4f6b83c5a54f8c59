import gzip
import pickle
import struct
import tarfile
import urllib.error
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from ganforge.data import idx
from ganforge.data.celeba import CelebA
from ganforge.data.cifar10 import CIFAR10, CLASSES
from ganforge.data.idx import MNIST, FashionMNIST
from ganforge.data.module import ImageDataModule
from ganforge.utils.errors import DamagedFileError, UserError

SHARED = Path(__file__).parents[3] / "shared/data"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture
def load(tmp_path):
    def module(source, size, channels):
        return ImageDataModule(
            "known", source, (channels, size, size), tmp_path / "data", channels=channels, size=size
        )

    return module


def write_idx(folder, packed, count=6):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    labels = np.arange(count, dtype=np.uint8)
    for prefix in ("train", "t10k"):
        for part, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)):
            header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
            data = header + array.tobytes()
            path = folder / f"{prefix}-{part}{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(data) if packed else data)
    return images


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("where", ["", "raw", "MNIST/raw"])
def test_idx_files_are_found_and_read(load, tmp_path, packed, where):
    images = write_idx(tmp_path / "idx" / where, packed)
    data = load(MNIST(tmp_path / "none", folder=tmp_path / "idx"), 28, 1)
    train = data.split("train")
    assert np.array_equal(train.images[:, 0].numpy(), images)
    assert train.labels.tolist() == list(range(6))
    assert data.class_names == list("0123456789")


def test_idx_images_get_a_border_or_are_resized(load, tmp_path):
    images = write_idx(tmp_path, packed=False)
    source = MNIST(tmp_path, folder=tmp_path)
    bordered = load(source, 32, 3).split("train").images
    for channel in bordered[:, :, 2:30, 2:30].unbind(1):
        assert torch.equal(channel, torch.from_numpy(images))
    assert bordered[:, :, :2].max() == 0
    resized = load(source, 56, 1).split("train").images
    expected = Image.fromarray(images[0]).resize((56, 56), Image.Resampling.LANCZOS)
    assert np.array_equal(resized[0, 0].numpy(), np.asarray(expected))


def test_a_damaged_idx_file_is_named(load, tmp_path):
    write_idx(tmp_path, packed=False)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFileError, match=r"train-images-idx3-ubyte' is not a complete"):
        load(MNIST(tmp_path, folder=tmp_path), 28, 1).setup()
    write_idx(tmp_path, packed=True)
    path.unlink()
    packed = tmp_path / "train-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:100])
    with pytest.raises(DamagedFileError, match=r"ubyte\.gz' is not a complete"):
        load(MNIST(tmp_path, folder=tmp_path), 28, 1).setup()


def test_images_and_labels_that_do_not_belong_together(load, tmp_path):
    write_idx(tmp_path, packed=False)
    write_idx(tmp_path / "other", packed=False, count=5)
    (tmp_path / "other/train-labels-idx1-ubyte").replace(tmp_path / "train-labels-idx1-ubyte")
    with pytest.raises(DamagedFileError, match="5 labels for 6 images"):
        load(MNIST(tmp_path, folder=tmp_path), 28, 1).setup()


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_debian_package_is_found_without_an_option(tmp_path):
    files = FashionMNIST(tmp_path)._files
    assert {path.parent for path in files.values()} == {DEBIAN}
    labels = idx.read_idx(files["test", "labels"], dimensions=1)
    assert np.bincount(labels).tolist() == [1000] * 10


@pytest.mark.parametrize(
    ("name", "source", "file"),
    [
        ("MNIST", MNIST, "train-images-idx3-ubyte"),
        ("CIFAR10", CIFAR10, "cifar-10-python.tar.gz"),
        ("CelebA", CelebA, "img_align_celeba.zip"),
    ],
)
def test_a_failed_download_says_what_to_put_where(load, tmp_path, monkeypatch, name, source, file):
    def fail(root, download):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torchvision.datasets, name, fail)
    data = load(source(tmp_path / "here"), 32, 3)
    with pytest.raises(UserError) as caught:
        data.setup()
    for words in ("no route to host", file, str(tmp_path / "here"), "data.source.folder"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", [MNIST, FashionMNIST, CIFAR10, CelebA])
def test_a_named_folder_without_the_files_is_no_reason_to_download(load, tmp_path, source):
    with pytest.raises(UserError, match=r"is not in '.*' \(data\.source\.folder\)"):
        load(source(tmp_path, folder=tmp_path), 32, 3).setup()


def test_a_download_is_used_and_not_repeated(load, tmp_path, monkeypatch):
    calls = []

    def download(root, download):
        calls.append(root)
        write_idx(Path(root) / "MNIST/raw", packed=True)

    monkeypatch.setattr(torchvision.datasets, "MNIST", download)
    for size in (28, 32):
        assert len(load(MNIST(tmp_path / "here"), size, 1).split("test")) == 6
    assert calls == [str(tmp_path / "here")]


def write_jpeg_zips(folder, classes=CLASSES):
    for split in ("train", "test"):
        with zipfile.ZipFile(folder / f"cifar10_jpeg_{split}.zip", "w") as archive:
            for number, name in enumerate(classes):
                for i in range(2):
                    path = folder / "one.jpg"
                    Image.new("RGB", (32, 32), (number * 20, 0, 0)).save(path)
                    archive.write(path, f"{name}/{i:04}.jpg")


def test_the_jpeg_copy_of_cifar10(load, tmp_path):
    write_jpeg_zips(tmp_path)
    data = load(CIFAR10(tmp_path, folder=tmp_path, workers=1), 32, 3)
    train = data.split("train")
    assert data.class_names == CLASSES
    assert train.labels.tolist() == [n for n in range(10) for _ in range(2)]
    assert (train.images[:, 0].float().mean((1, 2)) - train.labels * 20).abs().max() < 4


def test_a_folder_that_is_no_class_of_cifar10(load, tmp_path):
    write_jpeg_zips(tmp_path, [*CLASSES[:9], "lorry"])
    with pytest.raises(DamagedFileError, match="'lorry', which is no class"):
        load(CIFAR10(tmp_path, folder=tmp_path), 32, 3).setup()


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
def test_the_real_jpeg_copy_opens(tmp_path):
    source = CIFAR10(tmp_path, folder=SHARED, workers=1)
    source.check(32, 3)
    chunk = next(source.chunks("test", 32, 3))
    assert chunk.images.shape[1:] == (3, 32, 32)
    assert set(chunk.labels) == {0}


def write_batches(folder):
    folder.mkdir()
    batch = {"data": np.full((4, 3072), 9, np.uint8), "labels": [0, 1, 2, 3]}
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": CLASSES}))


@pytest.mark.parametrize("packed", [False, True])
def test_the_python_batches_of_cifar10(load, tmp_path, monkeypatch, packed):
    batches = tmp_path / "cifar-10-batches-py"
    write_batches(batches)
    folder = tmp_path
    if packed:
        folder = tmp_path / "packed"
        folder.mkdir()
        with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as archive:
            archive.add(batches, batches.name)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    data = load(CIFAR10(tmp_path / "down", folder=folder), 32, 3)
    assert data.split("train").images.unique().tolist() == [9]
    assert data.split("train").labels.tolist() == [0, 1, 2, 3] * 5
    assert len(data.split("test")) == 4


def test_batches_with_the_wrong_hash_are_never_unpickled(load, tmp_path):
    write_batches(tmp_path / "cifar-10-batches-py")
    with pytest.raises(DamagedFileError, match="damaged or incomplete"):
        load(CIFAR10(tmp_path, folder=tmp_path), 32, 3).setup()


def write_celeba(folder, lists=True):
    images = folder / "img_align_celeba"
    images.mkdir(parents=True)
    parts = {"000001.jpg": 0, "000002.jpg": 0, "000003.jpg": 1, "000004.jpg": 2}
    for number, name in enumerate(parts):
        Image.new("RGB", (178, 218), (number * 50,) * 3).save(images / name)
    if lists:
        rows = ["1 -1", "-1 -1", "1 1", "-1 1"]
        lines = [f"{name}  {row}" for name, row in zip(parts, rows, strict=True)]
        (folder / "list_attr_celeba.txt").write_text("\n".join(["4", "Male Smiling", *lines, ""]))
        text = "".join(f"{name} {part}\n" for name, part in parts.items())
        (folder / "list_eval_partition.txt").write_text(text)


def test_celeba_with_its_lists(load, tmp_path):
    write_celeba(tmp_path / "celeba")
    data = load(CelebA(tmp_path, folder=tmp_path, label="Male"), 32, 3)
    assert data.attribute_names == {"Male": ["no", "yes"], "Smiling": ["no", "yes"]}
    assert data.split("train").attributes.tolist() == [[1, 0], [0, 0]]
    assert data.split("train").labels.tolist() == [1, 0]
    assert data.split("test").attributes.tolist() == [[0, 1]]
    assert data.split("test").images.float().mean().item() == pytest.approx(150, abs=2)


def test_celeba_without_lists_is_divided_by_number(load, tmp_path):
    write_celeba(tmp_path, lists=False)
    images = tmp_path / "img_align_celeba"
    (images / "000004.jpg").rename(images / "182638.jpg")
    data = load(CelebA(tmp_path, folder=tmp_path), 16, 3)
    assert (len(data.split("train")), len(data.split("test"))) == (3, 1)
    assert data.split("train").attributes is None
    with pytest.raises(UserError, match=r"list_attr_celeba\.txt is missing"):
        load(CelebA(tmp_path, folder=tmp_path, label="Male"), 16, 3).setup()


def test_celeba_with_an_incomplete_or_unknown_attribute(load, tmp_path):
    write_celeba(tmp_path)
    with pytest.raises(UserError, match="'Beard', not known to CelebA: choose one of Male"):
        load(CelebA(tmp_path, folder=tmp_path, label="Beard"), 16, 3).setup()
    (tmp_path / "list_attr_celeba.txt").write_text("4\nMale Smiling\n000001.jpg 1\n")
    with pytest.raises(DamagedFileError, match=r"lacks attributes of '000001\.jpg'"):
        load(CelebA(tmp_path, folder=tmp_path), 16, 3).setup()
