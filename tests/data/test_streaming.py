"""A packed data set is the same set: same images, disjoint shares, an order that can be resumed."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ganforge.data.packing import pack
from ganforge.data.source import Chunk, Names
from ganforge.data.stream import ChunkOrder
from ganforge.data.streaming import StreamingDataModule
from ganforge.metrics.sets import real_images
from ganforge.utils.errors import UserError
from helpers import TINY, ganforge

COUNT, SIZE = 300, 16


class Extractor:
    name, sha256, resize = "pixels", "0", "none"


class Numbered:
    """Image i is noise drawn from i; its label is i mod 3."""

    label = None

    def check(self, size, channels):
        pass

    def key(self):
        return {"numbered": 1}

    def chunks(self, split, size, channels):
        for start in range(0, COUNT, 100):
            rows = range(start, start + 100)
            images = [np.random.default_rng(i).integers(256, size=(3, size, size)) for i in rows]
            yield Chunk(np.stack(images).astype(np.uint8), np.array([i % 3 for i in rows]))

    def names(self):
        return Names(classes=["a", "b", "c"])


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """20 chunks of 15 images and more."""
    pytest.importorskip("litdata")
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("packed") / "set"
    from litdata.streaming import writer

    small = writer.BinaryWriter.__init__
    patch.setattr(
        writer.BinaryWriter,
        "__init__",
        lambda self, path, chunk_bytes: small(self, path, chunk_bytes=15_000),
    )
    pack(Numbered(), SIZE, 3, folder, chunk_mb=1)
    patch.undo()
    assert len(list((folder / "train").glob("*.bin"))) > 15
    return folder


def module(packed, rank=0, world_size=1, **options):
    options = {"batch_size": 8, "window": 4, "flip": True, **options}
    data = StreamingDataModule("set", str(packed), (3, SIZE, SIZE), "none", 3, SIZE, **options)
    data.trainer = SimpleNamespace(
        global_rank=rank,
        world_size=world_size,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    return data


def loader(packed, *args, **options):
    return module(packed, *args, **options).train_dataloader()


def test_every_image_and_label_comes_back_exactly(packed):
    stream = module(packed).split("train")
    assert len(stream) == COUNT
    rows = stream.rows(torch.arange(COUNT).flip(0))
    images = torch.cat([torch.from_numpy(c.images) for c in Numbered().chunks("", SIZE, 3)])
    assert torch.equal(rows["image"].flip(0), images)
    assert rows["label"].tolist() == [i % 3 for i in range(COUNT)][::-1]


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own(packed):
    batches = loader(packed)
    first, second = ([b["index"] for b in batches] for _ in range(2))
    assert len(first) == COUNT // 8
    for epoch in (first, second):
        drawn = torch.cat(epoch)
        assert len(drawn.unique()) == len(drawn) == 8 * (COUNT // 8)
    assert not torch.equal(torch.cat(first), torch.cat(second))
    again = torch.cat([b["index"] for b in loader(packed)])
    assert torch.equal(again, torch.cat(first))
    other = torch.cat([b["index"] for b in loader(packed, seed=1)])
    assert not torch.equal(other, again)


def test_batches_hold_the_images_of_their_numbers(packed):
    batch = next(iter(loader(packed)))
    rows = module(packed).split("train").rows(batch["index"])
    assert torch.equal(batch["image"], rows["image"])
    assert torch.equal(batch["label"], batch["index"] % 3)
    assert batch["flip"].dtype == torch.bool


def test_two_ranks_share_what_one_process_would_see(packed):
    whole = loader(packed, batch_size=16)
    halves = [loader(packed, rank, 2) for rank in (0, 1)]
    for batch, *parts in zip(whole, *halves, strict=True):
        index = torch.cat([part["index"] for part in parts])
        assert torch.equal(index, batch["index"])
        assert torch.equal(torch.cat([part["image"] for part in parts]), batch["image"])


@pytest.mark.parametrize("consumed", [0, 1, 5, 37])
def test_a_position_is_resumed_exactly(packed, consumed):
    """In the middle of an epoch, at its end, although batches were read ahead of their use."""
    first, resumed = loader(packed), loader(packed)
    batches = (batch for _ in range(3) for batch in first)
    for _ in range(consumed):
        next(batches)
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    rest = (batch for _ in range(3) for batch in resumed)
    for _ in range(40):
        expected, found = next(batches), next(rest)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_two_ranks_resume_where_one_process_stopped(packed):
    whole = loader(packed, batch_size=16)
    batches = iter(whole)
    for _ in range(3):
        next(batches)
    halves = [loader(packed, rank, 2) for rank in (0, 1)]
    for half in halves:
        half.load_state_dict(whole.state_dict())
    expected = next(batches)["index"]
    assert torch.equal(torch.cat([next(iter(half))["index"] for half in halves]), expected)


def test_the_order_stays_with_few_chunks():
    order = ChunkOrder([10] * 20, window=4, seed=0)
    drawn = order.part(3, 0, 200)
    assert sorted(drawn) == list(range(200))
    for start in range(0, 200, 40):
        assert len({i // 10 for i in drawn[start : start + 40]}) == 4
    assert np.array_equal(np.concatenate([order.part(3, 0, 33), order.part(3, 33, 200)]), drawn)


def test_an_object_store_gives_the_same_batches(packed, tmp_path):
    """litdata fetches chunks of ``local:FOLDER`` into its cache, as it does from S3."""
    remote = StreamingDataModule(
        "set", f"local:{packed}", (3, SIZE, SIZE), tmp_path, 3, SIZE, 8, flip=True, window=4
    )
    for here, there in zip(loader(packed), remote.train_dataloader(), strict=True):
        assert all(torch.equal(here[key], there[key]) for key in here)
    assert len(list((tmp_path / "streams").rglob("*.bin"))) > 15


def test_scores_find_real_images(packed):
    data = module(packed)
    taken = data.take("train", 50, seed=1)
    assert taken.shape == (50, 3, SIZE, SIZE)
    assert torch.equal(taken, data.take("train", 50, seed=1))
    assert len(taken.flatten(1).unique(dim=0)) == 50
    assert len(data.content_hash("train")) == 64
    real = real_images(data, "train", 50, seed=1)
    assert torch.equal(torch.cat([make() for make in real.load()]), taken)
    numbers = data.choose("train", 50, seed=1)
    assert real.labels().tolist() == [i % 3 for i in numbers]
    # The same images in a memory map are chosen otherwise: their features lie elsewhere.
    assert real.key(Extractor) != replace(real, drawn="").key(Extractor)
    assert data.class_names == ["a", "b", "c"]
    with pytest.raises(UserError, match="1 to 300"):
        data.take("train", 301)


def test_few_images_are_taken_from_few_chunks_of_an_object_store(packed, tmp_path):
    remote = StreamingDataModule(
        "set", f"local:{packed}", (3, SIZE, SIZE), tmp_path, 3, SIZE, 8, window=4
    )
    assert len(remote.take("train", 40, seed=3)) == 40
    # 15 images a chunk: four hold 60.
    assert len(list((tmp_path / "streams").rglob("*.bin"))) <= 4


def test_an_attribute_can_be_the_label(tmp_path):
    pytest.importorskip("litdata")

    class Named(Numbered):
        label = "second"

        def chunks(self, split, size, channels):
            for chunk in super().chunks(split, size, channels):
                columns = np.stack([chunk.labels * 0, chunk.labels + 5], axis=1)
                yield Chunk(chunk.images, attributes=columns)

        def names(self):
            return Names(attributes={"first": ["a"], "second": list("abcdefgh")})

    pack(Named(), SIZE, 3, tmp_path / "set", chunk_mb=1)
    stream = module(tmp_path / "set").split("train")
    assert stream.labelled
    assert stream.rows(torch.arange(4))["label"].tolist() == [5, 6, 7, 5]


def test_wrong_places_and_sizes_are_told(packed, tmp_path):
    with pytest.raises(UserError, match="ganforge pack"):
        module(tmp_path / "nothing").setup()
    wrong = StreamingDataModule("set", str(packed), (3, 32, 32), "none", 3, 32)
    with pytest.raises(UserError, match=r"holds \[3, 16, 16\]"):
        wrong.setup()
    with pytest.raises(UserError, match=r"data\.window is 0"):
        module(packed, window=0)


def test_pack_and_train_from_the_command_line(tmp_path, monkeypatch, capsys):
    pytest.importorskip("litdata")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "data"))
    drawn = ["data=avatars", "data.size=32", "data.source.train_count=40"]
    drawn += ["data.source.test_count=16", "data.source.workers=1", "output=faces"]
    assert ganforge("pack", *drawn) == 0
    assert "Packed 40 train, 16 test images of 3×32×32" in capsys.readouterr().out
    assert ganforge("pack", *drawn) == 2
    assert "faces exists" in capsys.readouterr().err
    assert ganforge("pack", "data=gaussian1d", "output=points") == 2
    streamed = ["data=streaming", "data.path=faces", "data.size=32", "data.batch_size=4"]
    small = ["model.generator.width=4", "model.discriminator.width=4", "logger=[]"]
    folder = "hydra.run.dir=run"
    fast = [*TINY, "trainer.accelerator=cpu", "features=cnn", "features.weights=avatars"]
    assert ganforge("train", *streamed, *small, *fast, folder) == 0
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    capsys.readouterr()
    # All metrics: memorisation looks at both whole splits.
    assert ganforge("evaluate", "run=run", "n=16", "metrics=all", "device=cpu") == 0
    text = capsys.readouterr().out
    assert "fid16_train" in text
    assert "memorisation" in text
    explored = ["tool=neighbours", "tool.n=12", "device=cpu"]
    assert ganforge("explore", "run=run", *explored) == 0
    assert ganforge("export", "run=run", "output=bundle") == 0
    assert ganforge("generate", "run=bundle", "n=2", "seed=1", "output=drawn") == 0


def test_pack_clears_what_a_killed_one_left_and_leaves_a_live_one_alone(tmp_path):
    from filelock import FileLock

    from ganforge.commands.pack import _place_beside
    from ganforge.utils.errors import UserError

    left = tmp_path / ".set.packing" / "set" / "train"
    left.mkdir(parents=True)
    (left / "chunk-0-0.bin").write_bytes(b"half")
    with FileLock(left.parents[1] / ".lock"), pytest.raises(UserError, match="being packed"):
        _place_beside(tmp_path / "set").__enter__()
    assert (left / "chunk-0-0.bin").exists()
    with _place_beside(tmp_path / "set") as place:
        assert not place.exists()
        place.mkdir()
        place.replace(tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
