"""The Optuna study of a sweep, when the sweep is gone on with.

Hydra's Optuna sweeper knows trials that are complete or failed. It takes a study up again by its
name, but asks for as many new trials as before and never repeats one that failed or was killed.
"""

from dataclasses import dataclass
from typing import Any

from ganforge.sweeps.manifest import Sweep
from ganforge.utils.errors import DamagedFileError, UserError

STUDY = "study.db"
NAME = "sweep"


@dataclass(frozen=True)
class Rest:
    """What is left of a study: how many trials, and a seed that draws none of the old ones."""

    trials: int
    seed: int


def requeue(sweep: Sweep, trials: int | None) -> Rest:
    """Queue what failed in the study; returns what is left of ``trials``, or of the sweep's own."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UserError(
            f"{sweep.folder} is a sweep by Optuna, which is not installed: "
            "pip install 'ganforge[optuna]'"
        ) from error
    path = sweep.folder / STUDY
    try:
        study = optuna.load_study(NAME, f"sqlite:///{path}")
        _queue_failed(study)
        known = len(study.trials)
    except Exception as error:  # SQLAlchemy's errors, KeyError of a study that is not there, ...
        reason = " ".join(str(error).split())[:120]
        raise DamagedFileError(
            f"{path} cannot be read as the study of the sweep ({reason}): "
            "start the sweep again in another folder"
        ) from error
    done = sum(job.done for job in sweep.jobs)
    # A sampler begins with its seed whenever a study is taken up.
    return Rest(max(0, (trials or sweep.trials or 0) - done), seed=known)


def _queue_failed(study: Any) -> None:
    """Let each set of parameters that failed, or was running when all was killed, be tried next."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    known = study.get_trials(states=(TrialState.COMPLETE, TrialState.WAITING))
    settled = [_parameters(trial) for trial in known]
    for trial in study.get_trials(states=(TrialState.FAIL,)):
        if trial.params and trial.params not in settled:
            study.enqueue_trial(trial.params)
            settled.append(trial.params)


def _parameters(trial: Any) -> dict[str, Any]:
    """The parameters of a trial; of one that waits, those that it was queued with."""
    return trial.params or trial.system_attrs.get("fixed_params", {})
