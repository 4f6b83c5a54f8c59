"""How many images a second a configuration trains here, found by training for some seconds."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from ganforge.config.build import build_as
from ganforge.training.devices import pick_precision
from ganforge.utils.images import to_float

WARM_UP, LEAST, MOST = 3, 4, 200  # steps
SECONDS = 4.0  # of measuring


class Clock(Callback):
    """Ends a training after some seconds; ``speed`` is images a second after the first steps."""

    def __init__(self) -> None:
        self.speed = 0.0
        self._begun, self._seen = 0.0, 0

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        """Look at the clock."""
        number = batch_idx + 1
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()
        if number == WARM_UP:
            self._begun, self._seen = time.monotonic(), pl_module.images_seen
        if number < WARM_UP + LEAST:
            return
        passed = time.monotonic() - self._begun
        self.speed = (pl_module.images_seen - self._seen) / passed
        trainer.should_stop = passed > SECONDS


def images_per_second(config: DictConfig) -> float:
    """Train the model of a configuration on noise for some seconds, and forget it."""
    from ganforge.training.fit import keep_quiet

    keep_quiet()
    module = build_as(config.model, LightningModule)
    rows = config.data.minibatches * config.data.batch_size
    shape = (rows, config.data.channels, config.data.size, config.data.size)
    batch = {"image": to_float(torch.randint(256, shape, dtype=torch.uint8))}
    if config.data.num_classes:
        batch["label"] = torch.randint(config.data.num_classes, (rows,))
    clock = Clock()
    trainer = Trainer(
        accelerator=config.trainer.accelerator, devices=1, max_epochs=1,
        precision=pick_precision(config.trainer.precision, config.trainer.accelerator),
        callbacks=[clock], logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(module, DataLoader([batch] * MOST, batch_size=None, shuffle=False))
    return clock.speed
