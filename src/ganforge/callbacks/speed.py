"""Images per second, as a curve."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ganforge.callbacks.loggers import JsonlLogger


class Speed(Callback):
    """Logs ``speed/images_per_second`` of the time since the last logging step.

    Pictures and scores that fall into that time count: it is what a user waits for.
    """

    def __init__(self) -> None:
        self._mark = (0.0, 0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Start the clock."""
        self._mark = (time.monotonic(), pl_module.images_seen)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Log on the trainer's logging steps."""
        if trainer.global_step % trainer.log_every_n_steps or not trainer.is_global_zero:
            return
        then, images = self._mark
        self._mark = (time.monotonic(), pl_module.images_seen)
        seconds = self._mark[0] - then
        if seconds > 0:
            speed = (pl_module.images_seen - images) / seconds
            record = {"speed/images_per_second": speed, "kimg": pl_module.images_seen / 1000}
            for logger in trainer.loggers:
                if isinstance(logger, JsonlLogger):
                    continue  # that file is the same, byte for byte, whenever a run is resumed
                logger.log_metrics(record, step=trainer.global_step)
