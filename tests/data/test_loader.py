from threading import Event

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from ganforge.data.loader import BatchLoader, read_ahead
from ganforge.data.module import ImageDataModule
from ganforge.data.store import Images
from ganforge.data.toys import Ring2D
from ganforge.utils.errors import UserError


def numbered(count):
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    return Images(images.contiguous(), torch.arange(count) * 10, None, "")


def drawn(loader):
    return [batch["index"].tolist() for batch in loader]


@given(
    count=st.integers(1, 200),
    batch_size=st.integers(1, 20),
    world_size=st.integers(1, 4),
    seed=st.integers(0, 2**40),
)
@settings(max_examples=60, deadline=None)
def test_an_epoch_visits_each_image_at_most_once_over_all_ranks(
    count, batch_size, world_size, seed
):
    def make(rank):
        return BatchLoader(numbered(count), batch_size, seed=seed, rank=rank, world_size=world_size)

    if count < batch_size * world_size:
        with pytest.raises(UserError, match=f"has {count} training images"):
            make(0)
        return
    loaders = [make(rank) for rank in range(world_size)]
    for _ in range(2):
        epoch = [drawn(loader) for loader in loaders]
        seen = [index for rank in epoch for batch in rank for index in batch]
        assert len(set(seen)) == len(seen)
        assert {len(batches) for batches in epoch} == {len(loaders[0])}
        assert (
            len(seen)
            == len(loaders[0]) * batch_size * world_size
            > count - batch_size * (world_size)
        )


@given(
    count=st.integers(4, 60),
    batch_size=st.integers(1, 4),
    before=st.integers(0, 40),
    rank=st.integers(0, 1),
    ahead=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_a_loaded_state_delivers_exactly_the_rest(count, batch_size, before, rank, ahead):
    """Read ahead or not."""
    if count < 2 * batch_size:
        return

    def make():
        options = {"seed": 3, "rank": rank, "world_size": 2, "flip": True, "ahead": ahead}
        return BatchLoader(numbered(count), batch_size, **options)

    def endless(loader):
        while True:
            yield from loader

    whole = make()
    stream = endless(whole)
    for _ in range(before):
        next(stream)
    resumed = make()
    resumed.load_state_dict(whole.state_dict())
    rest = endless(resumed)
    for _ in range(len(whole) + 2):
        expected, found = next(stream), next(rest)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_a_thread_makes_batches_before_they_are_asked_for():
    made, enough = [], Event()

    def make(number):
        made.append(number)
        if number == 2:
            enough.set()
        if number == 4:
            raise OSError("gone")
        return number

    batches = read_ahead(map(make, range(6)), 2)
    assert next(batches) == 0
    assert enough.wait(10)
    assert [next(batches) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(OSError, match="gone"):
        next(batches)
    assert list(read_ahead(iter(range(3)), 0)) == list(read_ahead(iter(range(3)), 5)) == [0, 1, 2]


def test_batches_hold_the_rows_of_their_index():
    for batch in BatchLoader(numbered(20), 6, seed=1):
        assert batch["image"].shape == (6, 1, 2, 2)
        assert batch["image"].dtype == torch.uint8
        assert batch["image"][:, 0, 0, 0].tolist() == batch["index"].tolist()
        assert batch["label"].tolist() == [10 * i for i in batch["index"].tolist()]
        assert "attributes" not in batch


def test_the_order_depends_on_seed_and_epoch_alone():
    first, second = BatchLoader(numbered(40), 8, seed=5), BatchLoader(numbered(40), 8, seed=5)
    epochs = [drawn(first), drawn(first)]
    assert epochs == [drawn(second), drawn(second)]
    assert epochs[0] != epochs[1]
    assert drawn(BatchLoader(numbered(40), 8, seed=6)) != epochs[0]


def test_iterating_twice_before_the_first_batch_loses_no_epoch():
    expected = drawn(BatchLoader(numbered(12), 4))
    loader = BatchLoader(numbered(12), 4)
    iter(loader)
    assert drawn(loader) == expected


def test_another_batch_size_continues_at_the_same_image():
    old = BatchLoader(numbered(40), 4, seed=2)
    batches = iter(old)
    seen = [index for _ in range(4) for index in next(batches)["index"].tolist()]
    new = BatchLoader(numbered(40), 8, seed=2)
    new.load_state_dict(old.state_dict())
    rest = [index for batch in drawn(new) for index in batch]
    assert len(rest) == 24
    assert not set(rest) & set(seen)


def test_half_of_the_images_are_mirrored():
    flips = torch.cat([batch["flip"] for batch in BatchLoader(numbered(200), 50, flip=True)])
    assert flips.dtype == torch.bool
    assert 70 < flips.sum() < 130


class Recorder(LightningModule):
    """Records the indices that it trains on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch["index"].tolist())
        return self.weight * batch["image"].mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(tmp_path, steps, resume=None):
    source = Ring2D(train_count=40, test_count=4)
    data = ImageDataModule("ring2d", source, (2,), tmp_path / "data", batch_size=8, seed=4)
    folder = tmp_path / f"until{steps}"
    saver = ModelCheckpoint(folder, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    trainer = Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cpu", devices=1, logger=False,
        callbacks=[saver], enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path,
    )  # fmt: skip
    model = Recorder()
    trainer.fit(model, datamodule=data, ckpt_path=resume)
    return model.seen


@pytest.mark.parametrize("stop", [3, 5, 7])
def test_lightning_resumes_in_the_middle_and_at_the_end_of_an_epoch(tmp_path, stop):
    whole = fit(tmp_path / "whole", steps=13)
    assert len(whole) == 13
    fit(tmp_path / "parts", steps=stop)
    rest = fit(
        tmp_path / "parts", steps=13, resume=tmp_path / f"parts/until{stop}/step={stop}.ckpt"
    )
    assert rest == whole[stop:]
    for epoch in (whole[:5], whole[5:10]):  # five batches of eight are the forty images
        assert sorted(np.concatenate(epoch).tolist()) == list(range(40))
