"""Choices that make a step faster leave its losses as they are, and no step waits for them."""

import pytest
import torch
from lightning.pytorch import Callback
from torch.utils._python_dispatch import TorchDispatchMode

from ganforge.callbacks.ema import EMA

# Each of these makes the host wait for a device.
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero")


class Losses(Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        names = ("discriminator/loss", "generator/loss")
        self.seen.append([trainer.callback_metrics[name].item() for name in names])


def losses(tiny_gan, tiny_data, tiny_trainer, steps=50, **options):
    def adam(parameters, **more):
        # A rate at which rounding is not blown up by the game itself within 50 steps.
        return torch.optim.Adam(parameters, lr=1e-5, betas=(0.5, 0.999), **more)

    fast = {"foreach": False, **options.pop("adam", {})}
    factories = {
        f"optimizer_{player}": lambda p: adam(p, **fast)
        for player in ("generator", "discriminator")
    }
    record = Losses()
    module = tiny_gan(networks="dcgan", **factories, **{"channels_last": False, **options})
    data = tiny_data(batch_size=8, batches=10, shape=(1, 32, 32))
    tiny_trainer(max_steps=steps, callbacks=[record]).fit(module, datamodule=data)
    return torch.tensor(record.seen)


@pytest.mark.parametrize(
    "option",
    [
        {"channels_last": True},
        {"adam": {"fused": True, "foreach": None}},
        {"adam": {"foreach": True}},
    ],
    ids=["channels_last", "fused", "foreach"],
)
def test_fast_choices_leave_fp32_losses_as_they_are(option, tiny_gan, tiny_data, tiny_trainer):
    plain = losses(tiny_gan, tiny_data, tiny_trainer)
    fast = losses(tiny_gan, tiny_data, tiny_trainer, **option)
    assert plain.shape == (50, 2)
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=0)


class Waits(TorchDispatchMode):
    """Counts the operations that hand a value to Python."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        masked = function is torch.ops.aten.index.Tensor and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if masked or any(name in str(function) for name in WAITING):
            self.found.append(str(function))
        return function(*args, **(kwargs or {}))


class Watched(Callback):
    """Notes what waited in each step, the EMA's work among it."""

    def __init__(self):
        self.by_step, self._mode = [], None

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self._mode = Waits()
        self._mode.__enter__()

    def on_train_batch_end(self, *_):
        self._mode.__exit__(None, None, None)
        self.by_step.append(self._mode.found)


def test_the_watch_sees_what_waits():
    with Waits() as mode:
        torch.ones(1).sum().item()
        torch.ones(3)[torch.tensor([True, False, True])]
    assert len(mode.found) == 2


@pytest.mark.parametrize("clip", [None, 1.0], ids=["free", "clipped"])
def test_no_step_but_the_logged_waits_for_the_device(clip, tiny_gan, tiny_data, tiny_trainer):
    watched = Watched()
    trainer = tiny_trainer(max_steps=6, callbacks=[EMA(), watched])
    trainer.log_every_n_steps = 3
    module = tiny_gan(
        networks="dcgan",
        clip_gradient=clip,
        **{
            f"optimizer_{player}": lambda p: torch.optim.Adam(p, fused=True)
            for player in ("generator", "discriminator")
        },
    )
    trainer.fit(module, datamodule=tiny_data(shape=(1, 32, 32)))
    assert len(watched.by_step) == 6
    assert [found for step, found in enumerate(watched.by_step, 1) if step % 3 and found] == []
