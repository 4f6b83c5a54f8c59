import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.data.faces import Face, Landmarks
from ganforge.data.people_folder import PeopleFolder, people_of
from ganforge.data.regions import CLOSED, OPEN
from ganforge.utils.errors import UserError
from ganforge.utils.regions import Region

REGION = Region([[0.25, 0.25], [0.75, 0.25]], [[0.5, 0.25, 0.3, 0.15]], aspect=0.5)


class Middle:
    """Finds eyes in the middle of every picture that is not black."""

    def __call__(self, name, image):
        if np.asarray(image).max() < 10:
            return []
        x, y = image.width / 2, image.height / 2
        return [Face((x - 10, y), (x + 10, y)), Face((0.0, 0.0), (5.0, 0.0))]

    def key(self):
        return {"middle": 1}


class ByLevel:
    """Bright eyes are open, dark ones closed, those between neither."""

    def chance(self, windows, anchors):
        assert anchors == REGION.anchors
        return windows.float().mean((1, 2, 3)) / 255

    def key(self):
        return {"by_level": 1}


def photo(path, level):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (60, 50), (level, level, level)).save(path)


def source(path, **options):
    options = {"finder": Middle(), "test_count": 2, "workers": 1, **options}
    return PeopleFolder(path, REGION, **options)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "people"
    for who in ("ann", "bob", "cid", "dan"):
        for number, level in enumerate((200, 180, 40)):
            photo(root / who / f"{number}.png", level)
    photo(root / "ann" / "3.png", 90)  # between open and closed
    photo(root / "bob" / "4.png", 0)  # no face
    (root / "cid" / "5.png").write_bytes(b"no picture")
    photo(root / "eve" / "0.png", 200)  # one photo
    return root


def rows(source, split):
    chunks = list(source.chunks(split, 16, 3))
    return np.concatenate([c.images for c in chunks]), np.concatenate(
        [c.attributes for c in chunks]
    )


def test_people_are_split_and_eyes_judged(folder):
    """Two people a split, with two photos of open eyes and one of closed eyes each."""
    people = source(folder, judge=ByLevel(), pictures=9)
    levels = set()
    for split in ("train", "test"):
        images, attributes = rows(people, split)
        assert images.shape == (6, 3, 8, 16)
        assert attributes[:, 0].tolist() == [0, 0, 0, 1, 1, 1]
        assert len(set(attributes[:, 1].tolist())) == 6
        assert attributes[:, 2].tolist() == [OPEN, OPEN, CLOSED] * 2
        levels |= set(images[:, 0, 4, 8].tolist())
    assert levels == {200, 180, 40}
    skipped = people.names().skipped
    assert sorted(skipped)[0] == "bob/4.png (no face was found)"
    assert len(skipped) == 2


def test_without_a_judge_all_eyes_count_as_open(folder):
    _, attributes = rows(source(folder, pictures=3), "train")
    assert set(attributes[:, 2].tolist()) == {OPEN}


def test_at_most_so_many_photos_of_a_person(folder):
    images, _ = rows(source(folder, pictures=2), "test")
    assert len(images) == 4


def test_the_split_depends_on_the_seed_alone(folder):
    first, again, other = (source(folder, seed=seed) for seed in (0, 0, 1))
    assert first._splits == again._splits
    assert first.key() != other.key()
    assert {*first._splits["train"], *first._splits["test"]} == {"ann", "bob", "cid", "dan"}


def test_who_is_on_a_photo():
    in_folders = ["Ann/IMG_1.jpg", "Ann/party.jpg", "Bob/IMG_2.jpg"]
    assert people_of(in_folders) == ["Ann", "Ann", "Bob"]
    in_one = ["lfw/Ann_Lee_0001.jpg", "lfw/Ann_Lee_0002.jpg", "lfw/bob-7.jpg", "lfw/12.jpg"]
    assert people_of(in_one) == ["Ann_Lee", "Ann_Lee", "bob", "12"]


def test_landmarks_replace_the_finder(folder, tmp_path):
    table = tmp_path / "eyes.csv"
    lines = [f"{who}/{n}.png,20,25,40,25" for who in ("ann", "bob", "cid", "dan") for n in (0, 1)]
    table.write_text("\n".join(["file,left_x,left_y,right_x,right_y", *lines]))
    people = source(folder, landmarks=table, pictures=9)
    images, _ = rows(people, "train")
    assert len(images) == 4
    assert people.key() != source(folder, pictures=9).key()


def test_the_largest_face_of_a_file_comes_first(tmp_path):
    table = tmp_path / "eyes.csv"
    table.write_text(
        "file,left_x,left_y,right_x,right_y,note\n"
        "a/x.jpg,10,10,20,10,small\na/x.jpg,50,10,90,12,large\n"
    )
    found = Landmarks(table)("a/x.jpg", None)
    assert [face.left for face in found] == [(50, 10), (10, 10)]
    assert Landmarks(table)("y.jpg", None) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,x\n", "must have the columns file,left_x"),
        ("file,left_x,left_y,right_x,right_y\na,1,2,x,4\n", "cannot be read"),
        ("file,left_x,left_y,right_x,right_y\na,1,2,,\n", "cannot be read"),
        ("file,left_x,left_y,right_x,right_y\na,9,2,3,4\n", "line 2"),
    ],
)
def test_bad_tables_are_named(text, sentence, tmp_path):
    table = tmp_path / "eyes.csv"
    table.write_text(text)
    with pytest.raises(UserError, match=sentence):
        Landmarks(table)("a", None)
    with pytest.raises(UserError, match="cannot be read"):
        Landmarks(tmp_path / "none.csv")("a", None)


def test_too_few_people_are_named(folder):
    with pytest.raises(UserError, match="4 people with two photos"):
        list(source(folder, test_count=3).chunks("train", 16, 3))


def test_black_and_white_windows(folder):
    images = torch.from_numpy(next(iter(source(folder).chunks("train", 16, 1))).images)
    assert images.shape[1:] == (1, 8, 16)
