"""Stopping a trial early whose score falls behind the others of its study."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ganforge.callbacks.judge import judge_of


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
        judge, step = judge_of(trainer), trainer.global_step
        # Ranks that do not measure know when it was time, too: all must meet in the broadcast.
        if judge is None or not judge.is_due(step) or self._reported == step:
            return
        self._reported = step
        score, prune = judge.newest, False
        fresh = score is not None and score.step == step and math.isfinite(score.value)
        if self._trial is not None and fresh:
            self._trial.report(score.value, step)
            prune = self._trial.should_prune()
        self.pruned = bool(trainer.strategy.broadcast(prune))
        if self.pruned:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Whether it has stopped the run."""
        return {"pruned": self.pruned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take that back."""
        self.pruned = state_dict["pruned"]

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
