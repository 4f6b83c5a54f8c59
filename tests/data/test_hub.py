"""Data sets that the library of the Hugging Face hub wrote here: nothing is fetched."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from ganforge.config.places import with_absolute_places
from ganforge.data.hub import HubDataset
from ganforge.data.module import ImageDataModule
from ganforge.utils.errors import DamagedFileError, UserError
from helpers import composed, ganforge

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def picture(level: int) -> Image.Image:
    return Image.new("RGB", (24, 20), (level, 0, 0))


def rows(count: int, **columns: list) -> "datasets.Dataset":
    features = {"image": datasets.Image()}
    kinds = {"label": datasets.ClassLabel(names=["cat", "dog"]), "kind": datasets.Value("string")}
    features |= {name: kinds[name] for name in columns}
    pictures = [picture(10 * number) for number in range(count)]
    return datasets.Dataset.from_dict(
        {"image": pictures, **columns}, features=datasets.Features(features)
    )


def opened(path: Path, tmp_path: Path, **options: object) -> ImageDataModule:
    source = HubDataset(str(path), **options)
    return ImageDataModule("hub", source, (3, 16, 16), tmp_path / "data", channels=3, size=16)


@pytest.mark.parametrize("kind", ["saved", "parquet", "images"])
def test_splits_images_and_classes_are_those_of_the_library(kind: str, tmp_path: Path) -> None:
    train, test = rows(6, label=[0, 1, 0, 1, 1, 1]), rows(2, label=[1, 0])
    folder = tmp_path / "set"
    if kind == "saved":
        datasets.DatasetDict(train=train, validation=test).save_to_disk(folder)
    elif kind == "parquet":
        folder.mkdir()
        train.to_parquet(folder / "train.parquet")
        test.to_parquet(folder / "test.parquet")
    else:
        for name, part in (("train", train), ("test", test)):
            for number, row in enumerate(part):
                place = folder / name / ["cat", "dog"][row["label"]]
                place.mkdir(parents=True, exist_ok=True)
                row["image"].save(place / f"{number}.png")
    data = opened(folder, tmp_path, data_dir=tmp_path)
    assert data.class_names == ["cat", "dog"]
    images, labels = data.split("train").images, data.split("train").labels
    seen = {int(image[0, 8, 8]): int(label) for image, label in zip(images, labels, strict=True)}
    assert seen == {0: 0, 10: 1, 20: 0, 30: 1, 40: 1, 50: 1}
    assert images.shape == (6, 3, 16, 16)
    assert sorted(data.split("test").labels.tolist()) == [0, 1]


def test_words_are_classes_and_a_tenth_is_held_out(tmp_path: Path) -> None:
    rows(20, kind=["b", "a"] * 10).save_to_disk(tmp_path / "set")
    data = opened(tmp_path / "set", tmp_path, label_column="kind")
    assert (len(data.split("train")), len(data.split("test"))) == (18, 2)
    assert data.class_names == ["a", "b"]
    train = data.split("train")
    even = train.images[:, 0, 8, 8].int() // 10 % 2 == 0  # these rows said b
    assert torch.equal(train.labels == 1, even)
    plain = opened(tmp_path / "set", tmp_path)
    assert plain.split("train").labels is None
    again = opened(tmp_path / "set", tmp_path)
    assert again.split("train").content_hash == plain.split("train").content_hash


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    rows(4, label=[0, 1, -1, 0]).save_to_disk(tmp_path / "set")
    folder = tmp_path / "set"
    (tmp_path / "empty").mkdir()
    for options, words in (
        ({"image_column": "label"}, "the column label of .* holds no images"),
        ({"image_column": "photo"}, "no column photo, its columns are image, label"),
        ({"label_column": "age"}, "no column age, its columns are image, label"),
        ({}, r"rows without a class in 'label': data\.source\.label_column=null"),
    ):
        with pytest.raises(UserError, match=words):
            opened(folder, tmp_path, **options).setup()
    for path in (tmp_path / "empty", Path("nobody/nothing")):
        with pytest.raises(UserError, match="cannot be read as a data set"):
            opened(path, tmp_path, data_dir=tmp_path).setup()


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    cells = [{"bytes": b"no picture", "path": None}] * 3
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict({"image": cells}, features=features).save_to_disk(tmp_path / "set")
    with pytest.raises(DamagedFileError, match=r"row \d of .* holds no picture in 'image'"):
        opened(tmp_path / "set", tmp_path).setup()


def test_a_data_set_is_packed_for_streaming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("litdata")
    monkeypatch.chdir(tmp_path)
    rows(12, label=[0, 1] * 6).save_to_disk("set")
    words = ["data=hub", "data.source.path=set", "data.size=16", f"paths.data_dir={tmp_path}/data"]
    assert ganforge("pack", *words, "out=packed") == 0
    from ganforge.data.streaming import StreamingDataModule

    data = StreamingDataModule("s", "packed", (3, 16, 16), tmp_path, 3, 16)
    data.setup()
    assert data.class_names == ["cat", "dog"]
    found = data.split("train").rows(torch.arange(4))
    assert found["image"].shape == (4, 3, 16, 16)


def test_a_name_on_the_hub_is_no_path_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["data=hub", "data.source.path=me/faces"]
    config = composed("train", words, tmp_path, tmp_path)
    assert with_absolute_places(config).data.source.path == "me/faces"
    (tmp_path / "me/faces").mkdir(parents=True)
    assert with_absolute_places(config).data.source.path == f"{tmp_path}/me/faces"
