import subprocess
import sys

import numpy as np
import pytest

from ganforge.data.avatars import ATTRIBUTES, Avatars, person, render
from ganforge.data.module import ImageDataModule
from ganforge.utils.errors import UserError


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    source = Avatars(train_count=120, test_count=60, label="hair")
    return ImageDataModule(
        "avatars", source, (3, 32, 32), tmp_path_factory.mktemp("data"), channels=3, size=32
    )


def test_attributes_are_balanced_and_named(faces):
    train = faces.split("train")
    assert faces.attribute_names == {name: list(values) for name, values in ATTRIBUTES.items()}
    assert train.attributes.shape == (120, len(ATTRIBUTES))
    for column, values in zip(train.attributes.T, ATTRIBUTES.values(), strict=True):
        assert column.bincount().tolist() == [120 // len(values)] * len(values)
    assert faces.class_names == list(ATTRIBUTES["hair"])
    assert train.labels.tolist() == train.attributes[:, 4].tolist()


def test_an_image_of_the_set_is_the_render_of_its_person_and_attributes(faces):
    train = faces.split("train")
    for i in (0, 77):
        row = zip(ATTRIBUTES.items(), train.attributes[i].tolist(), strict=True)
        chosen = {name: list(values)[number] for (name, values), number in row}
        assert np.array_equal(train.images[i].numpy(), render(person("train", 0, i), 32, **chosen))


def test_no_person_is_in_both_splits(faces):
    images = [
        {image.numpy().tobytes() for image in faces.split(s).images} for s in ("train", "test")
    ]
    assert len(images[0]) == 120
    assert not images[0] & images[1]


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("name", list(ATTRIBUTES))
def test_each_value_is_visible_and_changes_its_part_alone(name, size):
    """Every two values differ clearly; what is small on a face leaves the rest as it is."""
    plain = {other: next(iter(values)) for other, values in ATTRIBUTES.items()}
    faces = [
        render(3, size, **{**plain, "rotation": "none", name: value}).astype(int)
        for value in ATTRIBUTES[name]
    ]
    for i, first in enumerate(faces):
        for second in faces[:i]:
            difference = np.abs(first - second).max(axis=0)
            assert (difference > 20).sum() >= 4
            if name in ("glasses", "eyes", "mouth", "facial_hair"):
                assert (difference == 0).mean() > 0.6


def test_the_same_person_is_the_same_at_any_time():
    face = render(7, 64)
    assert face.shape == (3, 64, 64)
    assert face.dtype == np.uint8
    assert np.array_equal(face, render("7", 64))
    assert not np.array_equal(face, render(8, 64))


def test_the_face_fills_the_frame():
    face = render(1, 64, hair="short", rotation="none").astype(int)
    background = face[:, :1, :1]
    assert (np.abs(face - background).max(axis=0) > 8).mean() > 0.4


def test_grey_faces(tmp_path):
    source = Avatars(train_count=3, test_count=1)
    data = ImageDataModule("avatars", source, (1, 16, 16), tmp_path, channels=1, size=16)
    assert data.split("train").images.shape == (3, 1, 16, 16)


@pytest.mark.parametrize("size", [0, 15, 257, 300])
def test_impossible_sizes(size, tmp_path):
    with pytest.raises(UserError, match=r"data\.size"):
        ImageDataModule("avatars", Avatars(), (3, size, size), tmp_path, channels=3, size=size)
    with pytest.raises(UserError, match=f"not {size}"):
        render(0, size)


def test_unknown_words():
    with pytest.raises(UserError, match=r"label is 'ears'.*glasses, eyes"):
        Avatars(label="ears")
    with pytest.raises(UserError, match="no glasses=monocle: choose one of none, glasses"):
        render(0, 32, glasses="monocle")
    with pytest.raises(UserError, match="no attribute 'ears': choose one of glasses"):
        render(0, 32, ears="big")
    with pytest.raises(UserError, match="train_count is 0"):
        Avatars(train_count=0)


def test_a_pool_draws_the_same_from_a_script_without_a_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, numpy\n"
        "from ganforge.data.avatars import Avatars\n"
        "print(sorted({'dicebear', 'torch'} & set(sys.modules)))\n"
        "source = Avatars(train_count=520, test_count=1, workers=2)\n"
        "images = [chunk.images for chunk in source.chunks('train', 16, 1)]\n"
        "numpy.save(sys.argv[1], numpy.concatenate(images))\n"
    )
    images = tmp_path / "images.npy"
    command = [sys.executable, script, images]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split("\n") == ["[]", ""]  # once: no worker ran the script
    assert "520/520" in done.stderr
    chunks = Avatars(520, 1, workers=1).chunks("train", 16, 1)
    assert np.array_equal(np.load(images), np.concatenate([chunk.images for chunk in chunks]))
