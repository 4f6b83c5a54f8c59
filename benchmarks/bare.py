"""The step that ganforge trains with, in a loop of its own: no Lightning, no logging."""

from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.settings import Settings, compose_training, pick_device
from benchmarks.stopwatch import Stopwatch
from ganforge.callbacks.ema import EMA
from ganforge.config.build import build
from ganforge.models.gan import GAN
from ganforge.training.devices import pick_precision
from ganforge.utils.seeds import seed_globals


class BareLoop:
    """One GAN, its data, its optimizers and its average, stepped by hand."""

    def __init__(self, settings: Settings) -> None:
        config = compose_training(settings)
        seed_globals(config.seed, 0, "weights")
        self.device = pick_device(config.trainer.accelerator)
        self.data = build(config.data)
        self.module: GAN = build(config.model).to(self.device)
        if config.model.channels_last:
            self.module.to(memory_format=torch.channels_last)
        self.bf16 = (
            pick_precision(config.trainer.precision, config.trainer.accelerator) == "bf16-mixed"
        )
        self.optimizer_g, self.optimizer_d = self.module.configure_optimizers()
        self.ema: EMA = build(config.callbacks.ema)
        self.ema.on_fit_start(None, self.module)
        if "compile" in config.callbacks:
            build(config.callbacks.compile).on_fit_start(None, self.module)
        self.data.setup()
        # What the data module asks of a trainer: where the images are to lie.
        self.data.trainer = SimpleNamespace(
            global_rank=0, world_size=1, strategy=SimpleNamespace(root_device=self.device)
        )
        self.loader = self.data.train_dataloader()
        self._batches = iter(self.loader)

    def next_images(self) -> torch.Tensor:
        """The next mini-batch on the device: float ``N×C×H×W`` in ``[-1, 1]``."""
        batch = next(self._batches, None)
        if batch is None:
            self._batches = iter(self.loader)
            batch = next(self._batches)
        batch = {key: value.to(self.device, non_blocking=True) for key, value in batch.items()}
        return self.data.on_after_batch_transfer(batch, 0)["image"]

    def autocast(self) -> AbstractContextManager:
        """The precision of the forward passes."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def step(self) -> None:
        """One update of the discriminator, then one of the generator through the same images."""
        real, module = self.next_images(), self.module
        generator, discriminator = module.generator, module.discriminator
        loss = module.objective.loss
        with self.autocast():
            fake = generator(module.draw_latents(len(real), module.noise))
            real_logits = discriminator(real).float()
            fake_logits = discriminator(fake.detach()).float()
        self.optimizer_d.zero_grad(set_to_none=True)
        loss.discriminator(real_logits, fake_logits).backward()
        self.optimizer_d.step()

        discriminator.requires_grad_(False)
        with self.autocast():
            fake_logits = discriminator(fake).float()
        self.optimizer_g.zero_grad(set_to_none=True)
        loss.generator(fake_logits).backward()
        self.optimizer_g.step()
        discriminator.requires_grad_(True)

        module.images_seen += len(real)
        self.ema.on_train_batch_end(None, module, None, None, 0)


def step_flops(settings: Settings) -> float:
    """Operations of the convolutions of one step, forward and backward."""
    loop = BareLoop(settings)
    with FlopCounterMode(display=False) as counter:
        loop.step()
    return float(counter.get_total_flops())


def measure(settings: Settings) -> Stopwatch:
    """The timed steps."""
    loop = BareLoop(settings)
    watch = Stopwatch(settings.warmup, settings.steps, loop.device)
    for _ in range(settings.total_steps):
        loop.step()
        watch.tick()
    return watch
