import json
import os
import shutil
import threading

import numpy as np
import pytest
import torch

from ganforge.data.module import ImageDataModule
from ganforge.data.source import Chunk, Names
from ganforge.data.toys import Gaussian1D
from ganforge.utils.errors import UserError


class Squares:
    """Twenty grey images whose level is their number; counts how often it is asked to build."""

    def __init__(self, label=None, count=20, fail=None):
        self.label, self.count, self.fail, self.built = label, count, fail, 0

    def check(self, size, channels):
        pass

    def key(self):
        return {"squares": self.count}

    def chunks(self, split, size, channels):
        self.built += 1
        for start in range(0, self.count, 8):
            numbers = np.arange(start, min(start + 8, self.count))
            if self.fail is not None and start:
                raise self.fail
            images = np.empty((len(numbers), channels, size, size), np.uint8)
            images[:] = numbers.reshape(-1, 1, 1, 1)
            yield Chunk(images, numbers % 3, np.stack([numbers % 2, numbers % 4], axis=1))

    def names(self):
        return Names(["a", "b", "c"], {"odd": ["no", "yes"], "rest": ["0", "1", "2", "3"]})


@pytest.fixture
def make(tmp_path):
    def module(source=None, **options):
        options = {"channels": 1, "size": 4, "shape": (1, 4, 4), "batch_size": 5} | options
        return ImageDataModule("squares", source or Squares(), data_dir=tmp_path, **options)

    return module


def test_a_split_is_what_the_source_gave(make):
    train = make().split("train")
    assert train.images.dtype == torch.uint8
    assert train.images.shape == (20, 1, 4, 4)
    assert train.images[:, 0, 0, 0].tolist() == list(range(20))
    assert train.labels.tolist() == [i % 3 for i in range(20)]
    assert train.attributes.tolist() == [[i % 2, i % 4] for i in range(20)]
    assert len(train) == 20


def test_names_come_from_the_labels_or_from_the_chosen_attribute(make):
    assert make().class_names == ["a", "b", "c"]
    chosen = make(Squares(label="rest"))
    assert chosen.class_names == ["0", "1", "2", "3"]
    assert chosen.split("train").labels.tolist() == [i % 4 for i in range(20)]
    assert chosen.attribute_names == {"odd": ["no", "yes"], "rest": ["0", "1", "2", "3"]}


def test_the_cache_is_built_once_and_another_label_does_not_build_it_again(make):
    first, second = Squares(), Squares(label="odd")
    make(first).prepare_data()
    make(second).setup()
    assert (first.built, second.built) == (2, 0)


def test_the_hash_follows_the_images(make):
    small, again, large = make(), make(), make(Squares(count=21))
    assert small.content_hash("train") == again.content_hash("train")
    assert small.content_hash("train") != large.content_hash("train")
    assert len(small.content_hash("test")) == 64


def test_two_processes_at_once_build_one_cache(make, tmp_path):
    sources = [Squares() for _ in range(4)]
    threads = [threading.Thread(target=make(source).prepare_data) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(source.built for source in sources) == 2
    assert len(list((tmp_path / "cache").glob("squares-*/"))) == 1


def test_a_failed_build_leaves_nothing_and_the_next_one_works(make, tmp_path):
    with pytest.raises(RuntimeError, match="half way"):
        make(Squares(fail=RuntimeError("half way"))).prepare_data()
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []
    assert len(make().split("test")) == 20


def test_a_full_disk_is_one_sentence(make):
    full = OSError(28, "No space left on device")
    with pytest.raises(UserError, match=r"No space left on device.*GANFORGE_DATA"):
        make(Squares(fail=full)).prepare_data()


HARM = {
    "cut": lambda data: data[:-10],
    "zeroed": lambda data: data[:128] + bytes(len(data) - 128),
    "all zero": lambda data: bytes(len(data)),
    "one bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("part", ["images", "labels", "attributes"])
def test_a_damaged_cache_is_found_whatever_its_times_say_and_built_again(
    make, tmp_path, harm, part, capsys
):
    before = make().take("train", 5)
    (folder,) = (tmp_path / "cache").glob("squares-*/")
    path = folder / "train" / f"{part}.npy"
    data, times = path.read_bytes(), path.stat().st_mtime_ns
    path.write_bytes(HARM[harm](data))
    os.utime(path, ns=(times, times))
    assert torch.equal(make().take("train", 5), before)
    assert path.read_bytes() == data
    assert "was damaged: it is built again" in " ".join(capsys.readouterr().err.split())
    make().setup()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"count": 3}', '{"files": {"a": 1}}'])
def test_a_damaged_description_is_built_again(make, tmp_path, text):
    before = make().take("train", 5)
    (meta,) = (tmp_path / "cache").glob("squares-*/meta.json")
    meta.write_text(text)
    assert torch.equal(make().take("train", 5), before)
    assert json.loads(meta.read_text())["count"]["test"] == 20


def test_a_copy_and_an_older_cache_are_read_through_once_and_kept(make, tmp_path, monkeypatch):
    hash_before = make().content_hash("train")
    (folder,) = (tmp_path / "cache").glob("squares-*/")
    for harm in ("copy", "older"):
        shutil.copytree(folder, tmp_path / harm)
        shutil.rmtree(folder)
        (tmp_path / harm).rename(folder)
        if harm == "older":
            meta = json.loads((folder / "meta.json").read_text())
            del meta["files"]
            (folder / "meta.json").write_text(json.dumps(meta))
        for _ in range(2):
            module = make(Squares(fail=RuntimeError("it is not built again")))
            assert module.content_hash("train") == hash_before
            monkeypatch.setattr("ganforge.data.store._matches", None)
        monkeypatch.undo()


def test_meta_says_what_decided_the_content(make, tmp_path):
    make().prepare_data()
    (meta,) = (tmp_path / "cache").glob("squares-*/meta.json")
    facts = json.loads(meta.read_text())["facts"]
    assert (facts["size"], facts["channels"], facts["squares"]) == (4, 1, 20)


def test_a_step_takes_its_minibatches_at_once(make):
    loader = make(minibatches=3).train_dataloader()
    assert [len(batch["image"]) for batch in loader] == [15]


def test_the_model_sees_floats_and_other_keys_stay(make):
    data = make(flip=True)
    batch = next(iter(data.train_dataloader()))
    seen = data.on_after_batch_transfer(dict(batch), 0)
    assert seen.keys() == {"image", "index", "label", "attributes"}
    expected = batch["image"].float() / 127.5 - 1
    torch.testing.assert_close(seen["image"], expected)  # a square of one level has no sides
    assert torch.equal(seen["label"], batch["label"])


def test_mirroring_follows_the_flag(make):
    image = torch.arange(8, dtype=torch.uint8).view(2, 1, 2, 2)
    batch = {"image": image, "flip": torch.tensor([True, False])}
    seen = make().on_after_batch_transfer(batch, 0)["image"]
    expected = torch.tensor([[1, 0, 3, 2], [4, 5, 6, 7]]).view(2, 1, 2, 2) / 127.5 - 1
    torch.testing.assert_close(seen, expected)


def test_take_is_a_subset_without_repetition(make):
    data = make()
    chosen = data.take("train", 12, seed=1)[:, 0, 0, 0].tolist()
    assert len(set(chosen)) == 12
    assert data.take("train", 12, seed=1)[:, 0, 0, 0].tolist() == chosen
    assert data.take("train", 12, seed=2)[:, 0, 0, 0].tolist() != chosen
    with pytest.raises(UserError, match=r"21 images were asked of the train split.*has 20"):
        data.take("train", 21)


def test_rows_may_be_changed_in_memory_but_never_in_the_file(make):
    make().split("train").images[0] = 99
    assert make().split("train").images[0].max() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "data.batch_size is 0"),
        ({"batch_size": 2.5}, "data.batch_size is 2.5"),
        ({"minibatches": 0}, "mini-batches per step is 0"),
        ({"size": 0}, "data.size is 0"),
        ({"channels": 2}, "data.channels is 2"),
        ({"on_device": "gpu"}, "data.on_device is 'gpu'"),
    ],
)
def test_impossible_options_are_refused(make, options, message):
    with pytest.raises(UserError, match=message):
        make(**options)


def test_fewer_images_than_a_batch_tells_both_numbers(make):
    with pytest.raises(UserError, match=r"20 training images.*\(21\)"):
        make(batch_size=21).train_dataloader()


def test_a_shape_that_is_not_the_images_is_refused(make):
    with pytest.raises(UserError, match=r"data.shape is \[3, 4, 4\]"):
        make(shape=(3, 4, 4)).setup()


def test_unknown_split(make):
    with pytest.raises(UserError, match="no split 'val'"):
        make().split("val")


def test_toys_cannot_be_mirrored(tmp_path):
    with pytest.raises(UserError, match=r"data\.flip"):
        ImageDataModule("gaussian1d", Gaussian1D(), (1,), tmp_path, flip=True)
