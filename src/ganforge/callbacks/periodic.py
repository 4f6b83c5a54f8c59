"""Callbacks that act every N steps, and once more at the end."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Periodic(Callback):
    """Calls ``act`` every ``every_n_steps`` generator updates and after the last one, never twice.

    ``at_start`` acts before the first update as well; ``every_n_steps=None`` is never in between.
    """

    def __init__(self, every_n_steps: int | None, at_start: bool = False) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise ValueError(
                f"every_n_steps of {type(self).__name__} must be at least 1, not {every_n_steps}"
            )
        self.every_n_steps = every_n_steps
        self.at_start = at_start
        self._last_step: int | None = None

    def act(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Do the work of this callback at ``step``."""
        raise NotImplementedError

    def is_due(self, step: int) -> bool:
        """Whether a period is over at ``step``."""
        return self.every_n_steps is not None and step % self.every_n_steps == 0

    def _act_once(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step != self._last_step:
            self._last_step = trainer.global_step
            self.act(trainer, pl_module, trainer.global_step)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Act before the first update of a new run."""
        if self.at_start and trainer.global_step == 0:
            self._act_once(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Act when a period is over."""
        if self.is_due(trainer.global_step):
            self._act_once(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Act on what training ended with."""
        self._act_once(trainer, pl_module)
