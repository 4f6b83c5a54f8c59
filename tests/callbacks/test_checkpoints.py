import os
import signal
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback

from ganforge.callbacks.checkpoints import Checkpoints
from ganforge.callbacks.ema import EMA
from ganforge.utils.checkpoint_files import is_good
from ganforge.utils.errors import PreemptedError


class Planned:
    """Replaces the scorer: says the planned values, one after the other."""

    real = SimpleNamespace(count=4)

    def __init__(self, values, make):
        self.values, self.make = values, make

    def attempt(self, fakes, origin):
        return [self.make(self.values[origin.step], origin.step)], []


def run(values, tiny_gan, tiny_data, tiny_trainer, image_quality, fake_score, folder, **options):
    quality = image_quality(every_n_steps=1)
    quality._scorer = Planned(values, fake_score)
    callbacks = [EMA(), quality, Checkpoints(folder, **options)]
    trainer = tiny_trainer(max_steps=len(values) - 1, callbacks=callbacks)
    trainer.fit(tiny_gan(), datamodule=tiny_data())
    files = folder.glob("*.ckpt")
    return {path.name: torch.load(path, weights_only=True)["global_step"] for path in files}


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([9, 5, 3, 4, 3.5], 2),
        ([9, 8, 7, 6, 5], 4),
        ([9, 3, 3, 3, 3], 1),
        ([9, float("nan"), 4, float("nan"), 5], 2),
        # Never better than the untrained generator: that one is the best.
        ([1, 5, 3, 4, 2], 0),
    ],
)
def test_best_is_the_lowest_and_last_the_end(
    values, best, tiny_gan, tiny_data, tiny_trainer, image_quality, fake_score, tmp_path
):
    folder = tmp_path / "checkpoints"
    found = run(values, tiny_gan, tiny_data, tiny_trainer, image_quality, fake_score, folder)
    assert found == {"last.ckpt": 4, "best.ckpt": best}


def test_last_is_written_on_the_way(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    steps = []

    class Noted(Checkpoints):
        def _save(self, trainer, name):
            super()._save(trainer, name)
            steps.append((name, trainer.global_step))

    trainer = tiny_trainer(max_steps=7, callbacks=[Noted(tmp_path / "c", every_n_steps=3)])
    trainer.fit(tiny_gan(), datamodule=tiny_data())
    assert steps == [("last", 3), ("last", 6), ("last", 7)]
    assert sorted(os.listdir(tmp_path / "c")) == ["SHA256SUMS", "last.ckpt", "previous.ckpt"]
    assert torch.load(tmp_path / "c" / "previous.ckpt", weights_only=True)["global_step"] == 6


def test_a_failed_write_keeps_the_old_file(
    tiny_gan, tiny_data, tiny_trainer, tmp_path, monkeypatch
):
    callback = Checkpoints(tmp_path / "c", every_n_steps=2)
    trainer = tiny_trainer(max_steps=2, callbacks=[callback])
    trainer.fit(tiny_gan(), datamodule=tiny_data())
    before = (tmp_path / "c" / "last.ckpt").read_bytes()

    def fail(path):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(trainer, "save_checkpoint", fail)
    with pytest.raises(OSError, match="no space left"):
        callback.act(trainer, trainer.lightning_module, 4)
    callback.teardown(trainer, trainer.lightning_module, "fit")
    assert (tmp_path / "c" / "last.ckpt").read_bytes() == before
    assert is_good(tmp_path / "c" / "last.ckpt")


def test_best_is_remembered_over_a_resume(
    tiny_gan, tiny_data, tiny_trainer, image_quality, fake_score, tmp_path
):
    folder = tmp_path / "c"
    run([9, 5, 3], tiny_gan, tiny_data, tiny_trainer, image_quality, fake_score, folder)
    quality = image_quality(every_n_steps=1)
    quality._scorer = Planned({3: 4.0, 4: 6.0}, fake_score)
    callback = Checkpoints(folder)
    tiny_trainer(max_steps=4, callbacks=[EMA(), quality, callback]).fit(
        tiny_gan(), datamodule=tiny_data(), ckpt_path=folder / "last.ckpt"
    )
    assert callback.best_step == 2
    assert torch.load(folder / "best.ckpt", weights_only=True)["global_step"] == 2
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == 4
    assert [score.value for score in quality.history] == [9, 5, 3, 4, 6]


class BreakAndStop(Callback):
    """The signal comes in a step that turns the weights to NaN, or in a good one."""

    def __init__(self, broken):
        self.broken = broken

    def on_train_batch_end(self, trainer, pl_module, *_):
        if trainer.global_step == 3:
            if self.broken:
                next(pl_module.parameters()).data.fill_(torch.nan)
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("broken", "step"), [(True, 2), (False, 3)])
def test_a_stop_keeps_the_last_state_that_is_worth_something(
    broken, step, tiny_gan, tiny_data, tiny_trainer, tmp_path
):
    callbacks = [BreakAndStop(broken), Checkpoints(tmp_path / "c", every_n_steps=2)]
    trainer = tiny_trainer(max_steps=9, callbacks=callbacks)
    told = "broke its weights .* the state before is kept" if broken else "all is saved"
    with pytest.raises(PreemptedError, match=told):
        trainer.fit(tiny_gan(), datamodule=tiny_data())
    assert torch.load(tmp_path / "c" / "last.ckpt", weights_only=True)["global_step"] == step
