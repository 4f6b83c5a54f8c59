"""One line that tells how training goes: steps, kimg, img/s, D(x), D(G(z)), time left."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ganforge.utils.terminal import terminal

READINGS = {
    "D(x)": "discriminator/D(x)",
    "D(G(z))": "discriminator/D(G(z))",
}


class ProgressBar(Callback):
    """A live bar on a terminal; elsewhere, in logs and pipes, a line every tenth of the way."""

    def __init__(self, refresh_seconds: float = 0.5) -> None:
        self.refresh_seconds = refresh_seconds
        self._console = terminal(stderr=True)
        self._progress: Progress | None = None
        self._speed = 0.0
        self._mark = (0.0, 0)
        self._tenth = 0
        self.note = ""  # what the doctor says, in a few words

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        self._mark = (time.monotonic(), pl_module.images_seen)
        self._tenth = self._tenth_of(trainer)
        if not (trainer.is_global_zero and self._console.is_terminal):
            return
        self._progress = Progress(
            TextColumn("train", style="bold", markup=False),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}", markup=False),
            TextColumn("{task.fields[readings]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._progress.add_task(
            "train", total=trainer.max_steps, completed=trainer.global_step, readings=""
        )
        self._progress.start()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Move the bar, at most every ``refresh_seconds``."""
        then, images = self._mark
        now = time.monotonic()
        if now - then < self.refresh_seconds or not trainer.is_global_zero:
            return
        speed = (pl_module.images_seen - images) / (now - then)
        self._speed = speed if not self._speed else 0.8 * self._speed + 0.2 * speed
        self._mark = (now, pl_module.images_seen)
        if self._progress is not None:
            readings = self._readings(trainer, pl_module)
            self._progress.update(
                self._progress.task_ids[0], completed=trainer.global_step, readings=readings
            )
        elif self._tenth_of(trainer) > self._tenth:
            self._tenth = self._tenth_of(trainer)
            line = f"step {trainer.global_step}/{trainer.max_steps}"
            readings = self._readings(trainer, pl_module)
            left = self._time_left(trainer, pl_module)
            self._console.print(f"{line} · {readings} · {left} left", soft_wrap=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the bar as it ended."""
        if self._progress is not None:
            self._progress.update(
                self._progress.task_ids[0],
                completed=trainer.global_step,
                readings=self._readings(trainer, pl_module),
            )
            self._stop()

    def on_exception(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,  # noqa: ARG002
        exception: BaseException,  # noqa: ARG002
    ) -> None:
        """Give the terminal back before the error is shown."""
        self._stop()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    @staticmethod
    def _tenth_of(trainer: Trainer) -> int:
        return 10 * trainer.global_step // max(trainer.max_steps, 1)

    def _time_left(self, trainer: Trainer, pl_module: LightningModule) -> str:
        """Minutes and seconds that the remaining steps take at the present speed."""
        images_a_step = pl_module.images_seen / trainer.global_step
        seconds = (trainer.max_steps - trainer.global_step) * images_a_step / self._speed
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"

    def _readings(self, trainer: Trainer, pl_module: LightningModule) -> str:
        parts = [f"{pl_module.images_seen / 1000:.1f} kimg", f"{self._speed:.0f} img/s"]
        metrics = trainer.callback_metrics
        parts += [f"{name} {metrics[key]:.2f}" for name, key in READINGS.items() if key in metrics]
        parts += [self.note] if self.note else []
        return " · ".join(parts)
