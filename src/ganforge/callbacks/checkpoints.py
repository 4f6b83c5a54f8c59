"""The last state of a run and the best-scored one."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO

from ganforge.callbacks.doctor.snapshot import weights_are_finite
from ganforge.callbacks.loggers import flush
from ganforge.callbacks.periodic import Periodic
from ganforge.callbacks.score_history import history_of
from ganforge.callbacks.stop_signals import StopSignals
from ganforge.utils.checkpoint_files import replace_checkpoint
from ganforge.utils.errors import PreemptedError, UserError
from ganforge.utils.files import PARTIAL, explained_writing, file_sha256
from ganforge.utils.runs import Run, link_latest


class Checkpoints(Periodic):
    """Writes ``last.ckpt`` every N steps and at the end, and ``best.ckpt`` at the lowest score.

    The score is what a ``ScoreHistory`` monitors. List this callback last: then its files
    hold what the others did in the same step. A file is written and verified at the end of a step,
    and takes its predecessor's place when the step is logged, so that what a checkpoint goes on
    from is on the disk. The predecessor of ``last.ckpt`` stays as ``previous.ckpt``.

    On one of ``signals`` it saves at the end of the step, unless that broke the weights, and raises
    ``PreemptedError``.
    """

    def __init__(
        self,
        folder: str | Path,
        every_n_steps: int = 500,
        signals: Sequence[str] = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2"),
    ) -> None:
        super().__init__(every_n_steps)
        self.folder = Path(folder)
        self.best_step: int | None = None
        self._stop = StopSignals(signals)
        self._ended: int | None = None
        self._linked = False
        self._stopped_by: str | None = None
        self._stopped_well = True
        self._pending: dict[str, str] = {}

    def act(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:  # noqa: ARG002
        """Save the last state."""
        self._save(trainer, "last")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Write files in our way."""
        trainer.strategy.checkpoint_io = VerifiedCheckpointIO()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the untrained state if it was measured: nothing better may follow."""
        self._stop.install()
        self._save_if_best(trainer)
        super().on_train_start(trainer, pl_module)

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Publish what the step before was saved as: all that it logged is written by now."""
        self._publish(trainer)
        if self._stopped_by:
            raise PreemptedError(
                self._stopped_by, trainer.global_step, self.folder.parent, self._stopped_well
            )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save the best state when it was just measured; the last when it is time, or asked for."""
        self._save_if_best(trainer)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        self._stopped_by = self._stop.received()
        if self._stopped_by:
            # Nobody looked at this step yet: the doctor does so before those that it expects.
            self._stopped_well = trainer.strategy.reduce_boolean_decision(
                weights_are_finite(pl_module), all=True
            )
            if self._stopped_well:
                self._act_once(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what training ended with: even of a step that was saved, others acted since.

        What a run leaves beside it is made afterwards, of this state and of files: again by a run
        that is gone on with, where a kill came between.
        """
        self._ended = trainer.max_steps
        self._save_if_best(trainer)
        self.act(trainer, pl_module, trainer.global_step)
        self._publish(trainer)
        self._stop.remove()  # from now on a stop loses nothing

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Leave nothing behind that is not finished."""
        self._end(trainer)

    def on_exception(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        exception: BaseException,  # noqa: ARG002
    ) -> None:
        """The same, whatever ended training: Lightning tears nothing down then."""
        self._end(trainer)

    def save_now(self, trainer: Trainer) -> None:
        """Save the last state and publish it at once: an error is about to end training."""
        self._save(trainer, "last")
        self._publish(trainer)

    def _end(self, trainer: Trainer) -> None:
        self._stop.remove()
        if trainer.is_global_zero:
            for name in self._pending:
                self._temporary(name).unlink(missing_ok=True)
        self._pending = {}

    def _save_if_best(self, trainer: Trainer) -> None:
        scores = history_of(trainer)
        best = scores.best if scores and scores.is_repeated else None
        if best is not None and best.step == trainer.global_step != self.best_step:
            self.best_step = best.step
            self._save(trainer, "best")

    def _save(self, trainer: Trainer, name: str) -> None:
        # All ranks take part in saving, one of them writes.
        path = self._temporary(name)
        trainer.save_checkpoint(path)
        self._pending[name] = trainer.strategy.checkpoint_io.sha256

    def _temporary(self, name: str) -> Path:
        return self.folder / f"{PARTIAL}{name}.ckpt"

    def _publish(self, trainer: Trainer) -> None:
        pending, self._pending = self._pending, {}
        if not (pending and trainer.is_global_zero):
            return
        flush(trainer.loggers)
        for name, sha256 in pending.items():
            replace_checkpoint(self._temporary(name), self.folder / f"{name}.ckpt", sha256)
        if not self._linked:  # there is something to use
            link_latest(Run(self.folder.parent))
            self._linked = True

    def state_dict(self) -> dict[str, Any]:
        """Which step the best state is of, and how many were asked for when none was to follow."""
        return {"best_step": self.best_step, "ended": self._ended}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the best step back."""
        self.best_step = state_dict["best_step"]


class VerifiedCheckpointIO(TorchCheckpointIO):
    """Writes a file and reads it back: it must be what was meant, and loadable without code.

    ``sha256`` is the hex hash of the file written last.
    """

    sha256: str = ""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,  # noqa: ARG002
    ) -> None:
        """Write ``checkpoint``; a disk that loses bytes is a UserError, and the file is removed."""
        buffer, path = io.BytesIO(), Path(path)
        torch.save(checkpoint, buffer)
        content = buffer.getbuffer()
        self.sha256 = hashlib.sha256(content).hexdigest()
        try:
            with explained_writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            _verify(path, self.sha256)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _verify(path: Path, sha256: str) -> None:
    if file_sha256(path) != sha256:
        raise UserError(
            f"{path} reads back differently from what was written: check the disk; the checkpoint "
            "before it is intact"
        )
    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(
            f"the state of this run could not be loaded again ({reason}): state_dict() of every "
            "callback and on_save_checkpoint() of the model must give tensors and plain values"
        ) from error
