"""Writes the health report when training ends, however it ends."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from ganforge.callbacks.doctor.callback import Doctor
from ganforge.callbacks.doctor.health import draw_health
from ganforge.callbacks.loggers import log_picture
from ganforge.callbacks.lookup import callback_of
from ganforge.callbacks.score_history import history_of
from ganforge.utils.files import atomic_path
from ganforge.utils.png import open_png
from ganforge.utils.terminal import told_if_slow


class HealthReport(Callback):
    """Draws what the doctor saw to ``health.png``. Place it after the doctor."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the whole training."""
        self._write(trainer, pl_module)

    def on_exception(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        exception: BaseException,  # noqa: ARG002
    ) -> None:
        """Draw what there was before the interruption."""
        self._write(trainer, pl_module)

    def _write(self, trainer: Trainer, module: LightningModule) -> None:
        doctor = callback_of(trainer, Doctor)
        if doctor is None or not trainer.is_global_zero or not any(doctor.histories.values()):
            return
        kimg = module.images_seen / 1000
        name = self.path.absolute().parent.name
        title = f"{name} · {trainer.global_step} steps · {kimg:.1f} kimg"
        with told_if_slow(f"drawing {self.path.name}"):
            figure = draw_health(doctor.histories, doctor.journal.events, title, judged_by(trainer))
            with atomic_path(self.path) as temporary:
                figure.savefig(temporary)
        picture = open_png(self.path).convert("RGB")
        log_picture(trainer.loggers, "health", picture, trainer.global_step)


def judged_by(trainer: Trainer) -> str:
    """The monitored metric as people write it: FID, L1, W1."""
    scores = history_of(trainer)
    metric = scores.newest.metric.strip("_") if scores and scores.newest else "score"
    return metric.upper() if len(metric) <= 3 else metric.replace("_", " ")
