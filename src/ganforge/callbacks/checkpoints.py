"""The last state of a run and the best-scored one."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from ganforge.callbacks.image_quality import ImageQuality
from ganforge.callbacks.periodic import Periodic
from ganforge.utils.files import atomic_path


class Checkpoints(Periodic):
    """Writes ``last.ckpt`` every N steps and at the end, and ``best.ckpt`` at the lowest score.

    The score is what an ``ImageQuality`` callback monitors; list that one before this one. A file
    replaces its predecessor only when it is complete.
    """

    def __init__(self, folder: str | Path, every_n_steps: int = 500) -> None:
        super().__init__(every_n_steps)
        self.folder = Path(folder)
        self.best_step: int | None = None

    def act(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:  # noqa: ARG002
        """Save the last state."""
        self._save(trainer, "last")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the untrained state if it was measured: nothing better may follow."""
        self._save_if_best(trainer)
        super().on_train_start(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save the best state when it was just measured, and the last when a period is over."""
        self._save_if_best(trainer)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what training ended with."""
        self._save_if_best(trainer)
        super().on_train_end(trainer, pl_module)

    def _save_if_best(self, trainer: Trainer) -> None:
        quality = next((c for c in trainer.callbacks if isinstance(c, ImageQuality)), None)
        best = quality.best if quality else None
        if best is not None and best.step == trainer.global_step != self.best_step:
            self.best_step = best.step
            self._save(trainer, "best")

    def _save(self, trainer: Trainer, name: str) -> None:
        path = self.folder / f"{name}.ckpt"
        # All ranks take part in saving, one of them writes.
        with atomic_path(path) if trainer.is_global_zero else nullcontext(path) as target:
            trainer.save_checkpoint(target)

    def state_dict(self) -> dict[str, Any]:
        """Which step the best state is of."""
        return {"best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the best step back."""
        self.best_step = state_dict["best_step"]
