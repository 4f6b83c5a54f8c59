"""Callbacks that act every N steps, and once more at the end."""

import math
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ganforge.callbacks.loggers import shows_pictures


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


class PeriodicPictures(Periodic):
    """Calls ``draw`` as ``Periodic`` does, as long as its files keep to ``most_bytes`` of a run.

    Of ``most_bytes`` a share may be spent that grows with the steps, so that pictures of a long run
    are thinned evenly; the first and the last are always made. Loggers that show pictures keep a
    copy each, which counts. None is no limit.
    """

    def __init__(
        self, every_n_steps: int | None, at_start: bool = False, most_bytes: int | None = None
    ) -> None:
        if most_bytes is not None and most_bytes < 1:
            raise ValueError(f"most_bytes must be at least 1, or null, not {most_bytes}")
        super().__init__(every_n_steps, at_start)
        self.most_bytes = most_bytes
        self._spent = self._next = 0  # bytes so far, and those of the newest picture

    def draw(self, trainer: Trainer, pl_module: LightningModule, step: int) -> list[Path]:
        """Write and log what is due at ``step``; the files, which only the first rank has."""
        raise NotImplementedError

    def act(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Draw, if the first rank has bytes left for it."""
        if not trainer.is_global_zero or not self._fits(trainer, step):
            return
        self._next = sum(p.stat().st_size for p in self.draw(trainer, pl_module, step))
        self._spent += self._next

    def _fits(self, trainer: Trainer, step: int) -> bool:
        last = _last_step(trainer)
        if self.most_bytes is None or not self._spent or step >= last:
            return True
        share = step / last if last < math.inf else 1.0
        copies = 1 + sum(map(shows_pictures, trainer.loggers))
        # The last one's place is kept.
        return copies * (self._spent + 2 * self._next) <= self.most_bytes * share

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw what training ended with, whatever it costs."""
        limit, self.most_bytes = self.most_bytes, None
        try:
            super().on_train_end(trainer, pl_module)
        finally:
            self.most_bytes = limit

    def state_dict(self) -> dict[str, int]:
        """What was spent: a resumed run goes on as it would have."""
        return {"spent": self._spent, "next": self._next}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Take it back."""
        self._spent, self._next = state_dict["spent"], state_dict["next"]


def _last_step(trainer: Trainer) -> float:
    """The step that training is to end with, as far as the trainer knows."""
    ends = [math.inf]
    if trainer.max_steps > 0:
        ends.append(trainer.max_steps)
    if trainer.max_epochs and trainer.max_epochs > 0:
        ends.append(trainer.max_epochs * trainer.num_training_batches)
    return min(ends)
