"""What needs CUDA: ``pytest -m gpu``. Not run where it was written: there was no such device."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from ganforge.callbacks.compile import Compile
from ganforge.callbacks.cuda_graph import CudaGraph
from ganforge.callbacks.ema import EMA
from ganforge.config.build import build
from ganforge.training.devices import pick_precision
from helpers import TINY, TINY_AVATARS, composed, tiny_run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


class Losses(Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        names = ("discriminator/loss", "generator/loss")
        self.seen.append([trainer.callback_metrics[name].item() for name in names])


class Kept(Callback):
    """How many steps were recorded at the end."""

    def on_train_end(self, trainer, pl_module):
        self.recordings = pl_module.repeat.recordings


class NoWaiting(Callback):
    """CUDA itself raises where the host waits, in the steps that are not logged."""

    def __init__(self):
        self.watched = 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        logged = (trainer.global_step + 1) % trainer.log_every_n_steps == 0
        # The first steps allocate, and choose kernels.
        if trainer.global_step > 2 and not logged:
            torch.cuda.set_sync_debug_mode("error")
            self.watched += 1

    def on_train_batch_end(self, *_):
        torch.cuda.set_sync_debug_mode("default")


def fit(tmp_path, *callbacks, steps=8, log_every=1, precision="32-true"):
    config = composed("train", TINY_AVATARS, tmp_path, tmp_path)
    module, data = build(config.model), build(config.data)
    trainer = Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cuda", devices=1, precision=precision,
        callbacks=list(callbacks), logger=False, log_every_n_steps=log_every,
        limit_val_batches=0, enable_checkpointing=False, enable_progress_bar=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    return module, trainer


def test_a_step_does_not_make_the_host_wait(tmp_path):
    watch = NoWaiting()
    fit(tmp_path, EMA(), watch, steps=9, log_every=4)
    assert watch.watched >= 4


def test_a_small_set_lies_on_the_device(tmp_path):
    _, trainer = fit(tmp_path, steps=1)
    batch = next(iter(trainer.datamodule.train_dataloader()))
    assert batch["image"].is_cuda
    assert batch["image"].dtype == torch.uint8


@pytest.mark.parametrize("mode", [None, "reduce-overhead"], ids=["compiled", "cuda_graphs"])
def test_a_compiled_generator_trains_alike(mode, tmp_path):
    plain, compiled = Losses(), Losses()
    torch.manual_seed(0)
    fit(tmp_path, plain)
    torch.manual_seed(0)
    fit(tmp_path, Compile(mode=mode), compiled)
    torch.testing.assert_close(
        torch.tensor(compiled.seen), torch.tensor(plain.seen), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_recorded_steps_train_alike(precision, tmp_path):
    """Fifty steps, of which all but three come from one CUDA graph."""
    plain, repeated, kept = Losses(), Losses(), Kept()
    torch.manual_seed(0)
    fit(tmp_path, plain, steps=50, precision=precision)
    torch.manual_seed(0)
    fit(tmp_path, CudaGraph(), kept, repeated, steps=50, precision=precision)
    assert kept.recordings == 1
    tolerance = 1e-5 if precision == "32-true" else 1e-3
    torch.testing.assert_close(
        torch.tensor(repeated.seen), torch.tensor(plain.seen), rtol=tolerance, atol=tolerance
    )


def test_what_waits_cannot_be_recorded_and_is_played(tmp_path):
    class Waiting(Callback):
        def on_fit_start(self, trainer, pl_module):
            pl_module.discriminator.register_forward_hook(lambda *args: args[-1].sum().item())

    losses, kept = Losses(), Kept()
    with pytest.warns(UserWarning, match="recording a step failed"):
        fit(tmp_path, Waiting(), CudaGraph(), kept, losses)
    assert kept.recordings == 0
    assert torch.tensor(losses.seen).isfinite().all()


def test_bf16_is_chosen_where_the_device_computes_it():
    expected = torch.cuda.is_bf16_supported(including_emulation=False)
    assert pick_precision("auto", "auto") == ("bf16-mixed" if expected else "32-true")


@pytest.mark.parametrize("on_device", [True, False])
def test_fetching_a_batch_does_not_make_the_host_wait(on_device, tmp_path):
    overrides = [*TINY_AVATARS, "data.flip=true", f"data.on_device={on_device}"]
    data = build(composed("train", overrides, tmp_path, tmp_path).data)
    strategy = SimpleNamespace(root_device=torch.device("cuda"))
    data.trainer = SimpleNamespace(global_rank=0, world_size=1, strategy=strategy)
    batches = iter(data.train_dataloader())
    next(batches)  # the first one takes the epoch's order to the device
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = {key: value.to("cuda", non_blocking=True) for key, value in next(batches).items()}
        data.on_after_batch_transfer(batch, 0)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("choice", ["noise=instance", "augment=ada", "regularizer=[lecam]"])
def test_a_whole_run_with_the_doctor(choice, tmp_path):
    overrides = [*TINY, *TINY_AVATARS, "trainer.accelerator=cuda", choice]
    assert tiny_run(overrides, tmp_path / "run").is_dir()
