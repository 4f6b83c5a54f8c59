"""What the folders of a data set mean: splits, classes, and what lies beside them."""

import pytest

from ganforge.data.folders import Layout, classes_of, divide, layout, named


def names(**folders):
    """``{"a": 3}`` is a/0.png, a/1.png, a/2.png."""
    return [f"{folder}/{i}.png" for folder, count in folders.items() for i in range(count)]


def prefixed(prefix, files):
    return [f"{prefix}/{file}" for file in files]


@pytest.mark.parametrize("train", ["train", "Train", "TRAINING"])
@pytest.mark.parametrize("test", ["test", "Testing", "val", "VALID", "Validation", "dev"])
def test_usual_names_are_splits_in_any_case(train, test):
    files = [*prefixed(train, names(cat=3, dog=2)), *prefixed(test, names(cat=1, dog=1))]
    found = layout(files)
    assert set(found.train.values()) == set(names(cat=3, dog=2))
    assert set(found.test.values()) == set(names(cat=1, dog=1))
    assert found.notes == []


@pytest.mark.parametrize("wrap", ["", "set/", "a/b/"])
@pytest.mark.parametrize("stray", [[], ["preview.png"]])
def test_all_three_splits_below_a_wrapping_folder_and_beside_a_stray_picture(wrap, stray):
    files = [
        f"{wrap}{file}"
        for split, count in (("train", 12), ("val", 6), ("test", 5))
        for file in prefixed(split, names(cat=count, dog=count))
    ]
    found = layout([*files, *stray])
    assert (len(found.train), len(found.test)) == (24, 10)
    assert all("/test/" in f"/{name}" for name in found.test)
    assert classes_of([*found.train.values(), *found.test.values()]) == ["cat", "dog"]
    told = " ".join(found.notes)
    assert "12 images in 'val' are not used" in told
    assert ("preview.png" in told) == bool(stray)


def test_a_training_folder_alone_beside_a_picture():
    found = layout([*prefixed("train", names(cat=3, dog=3)), "preview.png"])
    assert len(found.train) == 6
    assert found.test is None
    assert "preview.png" in found.notes[0]


@pytest.mark.parametrize(
    "files",
    [
        names(cat=2, dog=2),
        names(train=2, plane=2, car=2),  # the vehicle
        names(test=2, sample=2),
        [*names(cat=2), "a.png"],
        ["a.png", "b.png"],
    ],
)
def test_other_folders_are_no_splits(files):
    found = layout(files)
    assert found == Layout({name: name for name in files}, notes=found.notes)


def test_folders_that_are_no_classes_are_not_read_as_one():
    found = layout([*prefixed("train/images", ["a.png", "b.png"]), "test/images/c.png"])
    assert list(found.train.values()) == ["a.png", "b.png"]
    assert classes_of(found.train.values()) is None


def test_named_folders_are_found_below_a_wrapping_one():
    files = [f"horse2zebra/{f}" for f in names(trainA=3, testA=2, trainB=1)]
    assert len(named(files, "trainA", "testA").train) == 3
    assert len(named(files, "horse2zebra/trainA", None).train) == 3
    assert named(files, "trainA", "valA") is None


def test_each_class_is_divided_and_keeps_an_image_to_train_on():
    shorts = {n: n for n in names(many=30, two=2, one=1)}
    found = divide(shorts, 0.1)
    count = {c: sum(n.startswith(c) for n in found.train) for c in ("many", "two", "one")}
    assert count == {"many": 27, "two": 2, "one": 1}
    assert len(found.train) + len(found.test) == 33
    half = divide({n: n for n in names(a=10, b=6)}, 0.5)
    assert (sum(n[0] == "a" for n in half.test), sum(n[0] == "b" for n in half.test)) == (5, 3)


def test_small_classes_give_their_share_together():
    found = divide({n: n for n in names(**{f"class{i}": 4 for i in range(10)})}, 0.1)
    assert len(found.test) == 4
    tested = {name.split("/")[0] for name in found.test}
    assert len(tested) == 4


def test_a_class_of_one_image_each_leaves_something_to_test():
    found = divide({n: n for n in names(a=1, b=1, c=1)}, 0.1)
    assert (len(found.train), len(found.test)) == (2, 1)


def test_the_division_depends_on_names_inside_alone():
    shorts = {f"{i}.png": f"{i}.png" for i in range(40)}
    wrapped = {f"top/{i}.png": f"{i}.png" for i in range(40)}
    assert set(divide(shorts, 0.2).test.values()) == set(divide(wrapped, 0.2).test.values())


def test_names_that_are_not_utf8_are_divided():
    odd = {f"{i}\udcff.png": f"{i}\udcff.png" for i in range(10)}
    assert len(divide(odd, 0.2).test) == 2


@pytest.mark.parametrize(
    ("names", "held"),
    [
        (["test/a/1.png", "test/b/2.png"], ["test"]),
        (["Val/1.png", "test/2.png"], ["Val", "test"]),
        (["cats/1.png", "testing/2.png"], ["testing"]),
        (["cats/1.png", "dogs/2.png"], []),
    ],
)
def test_test_images_without_training_images_are_told(names, held):
    found = layout(names)
    assert found.test is None
    assert [note.split("'")[1] for note in found.notes] == held
