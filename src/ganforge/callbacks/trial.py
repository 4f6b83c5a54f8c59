"""Stopping a trial early whose score falls behind the others of its study."""

import math
from typing import Any

from lightning.pytorch import Callback, Trainer

from ganforge.callbacks.judge import judge_of
from ganforge.utils.studies import open_storage, storage_errors
from ganforge.utils.terminal import tell


class OptunaTrial(Callback):
    """Reports each score to the Optuna trial that suggested this run, and stops where told to.

    List it after the callback that measures. A run that no study suggested (``trial`` None) is left
    alone, and a study that cannot be reached stops no training. A ``storage`` of None lies in
    ``folder``, that of the sweep.
    """

    def __init__(
        self,
        trial: int | None,
        storage: str | None,
        folder: str,
        study: str | None,
        pruner: Any = None,
    ) -> None:
        self.number, self.storage, self.study = trial, storage or folder, study
        self.pruner = pruner
        self.pruned = False
        self._trial: Any = None
        self._reported = -1

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        """Find the trial."""
        if trainer.is_global_zero and self.number is not None:
            self._trial = self._guarded(self._find)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Report a score that was just measured, and stop all ranks where the pruner says so."""
        judge, step = judge_of(trainer), trainer.global_step
        # Ranks that do not measure know when it was time, too: all must meet in the broadcast.
        if judge is None or not judge.is_due(step) or self._reported == step:
            return
        self._reported = step
        score, prune = judge.newest, False
        fresh = score is not None and score.step == step and math.isfinite(score.value)
        if self._trial is not None and fresh:
            prune = bool(self._guarded(self._report, score.value, step))
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
        import optuna

        pruner = self.pruner or optuna.pruners.NopPruner()
        storage = open_storage(self.storage)
        study = optuna.load_study(study_name=self.study, storage=storage, pruner=pruner)
        if len(study.directions) > 1:  # of several goals Optuna takes only the end
            return None
        return optuna.trial.Trial(study, study.trials[self.number]._trial_id)

    def _report(self, value: float, step: int) -> bool:
        self._trial.report(value, step)
        return self._trial.should_prune()

    def _guarded(self, ask: Any, *arguments: Any) -> Any:
        try:
            return ask(*arguments)
        except storage_errors() as error:
            reason = " ".join(str(error).split())[:150]
            tell(f"{self.storage} does not answer ({reason}): the training goes on without it")
            return None
