"""Stopping a trial early whose score falls behind the others of its study."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ganforge.callbacks.image_quality import ImageQuality
from ganforge.callbacks.theory import TheoryFigure


class OptunaPruning(Callback):
    """Reports each score to the Optuna study that suggested this run, and stops where told to.

    Hydra's Optuna sweeper runs a job without telling it which trial it is and has no pruning. This
    callback finds the trial in the study's file by its parameters. List it after the callback that
    measures. Without a study, as in a run that no sweep started, it does nothing.

    Args:
        study: SQLite file of the study.
        overrides: ``key=value`` that this run was composed with: the trial's parameters are there.
        pruner: which trials to stop, an Optuna pruner.

    """

    def __init__(
        self, study: str | Path, overrides: Sequence[str], pruner: Any, name: str = "sweep"
    ) -> None:
        self.path, self.name, self.pruner = Path(study), name, pruner
        pairs = (override.lstrip("+").partition("=") for override in overrides)
        self.settings = {key: value for key, _, value in pairs}
        self.pruned = False
        self._trial: Any = None
        self._reported = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Find the trial."""
        if trainer.is_global_zero and self.path.is_file():
            self._trial = self._find()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Report a score that was just measured, and stop all ranks where the pruner says so."""
        score = self._score(trainer)
        if score is None or self._reported == trainer.global_step:
            return
        self._reported = trainer.global_step
        prune = False
        if self._trial is not None:
            self._trial.report(score, trainer.global_step)
            prune = self._trial.should_prune()
        self.pruned = bool(trainer.strategy.broadcast(prune))
        if self.pruned:
            trainer.should_stop = True

    @staticmethod
    def _score(trainer: Trainer) -> float | None:
        """What was measured after this very step."""
        for callback in trainer.callbacks:
            if isinstance(callback, ImageQuality) and callback.monitored:
                newest = callback.monitored[-1]
                fresh = newest.step == trainer.global_step and math.isfinite(newest.value)
                return newest.value if fresh else None
            if isinstance(callback, TheoryFigure) and callback.readings:
                fresh = trainer.global_step % callback.every_n_steps == 0
                return callback.objective[1] if fresh else None
        return None

    def _find(self) -> Any:
        """The running trial with this run's parameters; equal ones train equally."""
        import optuna
        from optuna.trial import Trial, TrialState

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.load_study(self.name, f"sqlite:///{self.path}", pruner=self.pruner)
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            if all(_same(self.settings.get(k), value) for k, value in trial.params.items()):
                return Trial(study, trial._trial_id)
        return None


def _same(setting: str | None, value: Any) -> bool:
    """Whether an override sets what the study holds: as the sweeper writes it, or that number."""
    if setting is None or isinstance(value, bool | str):
        return setting == str(value)
    try:
        return float(setting) == float(value)
    except ValueError:
        return False
