"""A Hydra sweeper that asks Optuna for trials and tells it what became of their jobs."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from ganforge.config.arguments import quoted
from ganforge.sweeps.manifest import Job
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.studies import open_storage, storage_errors
from ganforge.utils.terminal import command, telling
from hydra_plugins.ganforge_launcher.launcher import SweepLauncher

AGAIN = "again"  # in the study: the number of the failed trial that a trial repeats


class OptunaSweeper(Sweeper):
    """Runs ``n_trials`` trials of a study, ``n_jobs`` at a time; several processes may share it.

    Args:
        n_trials: trials of the study, whoever runs them; one that is run again counts once.
        n_jobs: trials that are asked for, and launched, together.
        storage: where a study of this sweep's own lies: a database's address or a journal file.
        join: where one lies that others may work on, too; it is made where there is none.
        study_name: its name there.
        direction: what is wanted of each objective, one word or a list.
        objectives: fields of a job's record, ``value`` (what runs are ranked by) or ``seconds``.
        sampler: proposes the trials: any sampler of Optuna.
        pruner: stops trials that fall behind: any pruner of Optuna; None stops none.
        params: what is searched, in Hydra's words: choice, range, interval, tag(log, ...).
        conditional: more params for each ``key=value`` that was chosen.
        trial: set for each job: the number of its trial.

    """

    def __init__(self, **settings: Any) -> None:
        self.given = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Refuse what cannot be run before anything is written."""
        self.context, self.task_function, self.config = hydra_context, task_function, config
        self.settings, name = config.hydra.sweeper, "hydra.sweeper"
        for key in ("n_trials", "n_jobs"):
            value = self.settings[key]
            if not (isinstance(value, int) and value > 0):
                raise UserError(f"{name}.{key}={value} must be a number from 1 on")
        self.name = str(self.settings.study_name or config.name)
        given = self.settings.join or self.settings.storage
        self.address = str(given or f"sqlite:///{config.hydra.sweep.dir}/study.db")
        if re.search(r"://[^/@]*:[^/@]+@", self.address):
            raise UserError(
                f"{name}.storage holds a password, which would be written into the files of the "
                "sweep: leave it to the environment (PGPASSWORD) or to ~/.pgpass"
            )
        try:
            import optuna
        except ModuleNotFoundError as error:
            what = f"sweeps by Optuna need {error.name}"
            raise UserError(f"{what}: pip install 'ganforge[optuna]'") from error
        from ganforge.config.build import build_as

        wanted = self.settings.direction
        objectives = list(self.settings.objectives)
        self.directions = [wanted] if isinstance(wanted, str) else list(wanted)
        if set(self.directions) - {"minimize", "maximize"} or len(self.directions) != len(
            objectives
        ):
            raise UserError(f"{name}.direction must be minimize or maximize for each objective")
        if unknown := set(objectives) - {"value", "seconds", "step"}:
            known = "value, seconds and step"
            raise UserError(f"{name}.objectives has {', '.join(unknown)}, and there are {known}")
        self.sampler = build_as(self.settings.sampler, optuna.samplers.BaseSampler)
        self.pruner = self.settings.pruner and build_as(
            self.settings.pruner, optuna.pruners.BasePruner
        )
        if self.pruner and len(self.directions) > 1:
            raise UserError(f"{name}.pruner needs one objective: hydra/sweeper/pruner=none")

    def sweep(self, arguments: list[str]) -> None:
        """Run what is missing of the study; a stop or a lost storage loses no job's result."""
        from ganforge.sweeps.plots import draw
        from ganforge.sweeps.space import Space

        params, conditional = self.settings.params or {}, self.settings.conditional or {}
        self.space = Space.read(params, conditional, arguments)
        launcher = Plugins.instance().instantiate_launcher(
            config=self.config, hydra_context=self.context, task_function=self.task_function
        )
        if not isinstance(launcher, SweepLauncher):
            raise UserError("sweeps by Optuna need one of the launchers that launcher= offers")
        self.launcher = launcher
        with self._storage():
            self.study = self._open()
            self._tell()
            self._queue_failed()
        more = True
        while more and (jobs := self._ask()):
            try:
                launcher.launch(list(jobs.values()), min(jobs))
            finally:
                with self._storage():
                    more = self._tell()
        with telling("the study"):
            draw(self.study, launcher.sweep.folder)

    def _open(self) -> Any:
        """The study, made or taken up; a UserError where it searches something else."""
        import optuna

        name, found = self.name, open_storage(self.address)
        known = name in [each.study_name for each in optuna.get_all_study_summaries(found)]
        if self.launcher.resume and not known:
            raise DamagedFileError(
                f"{self.address} cannot be read as the study of the sweep (there is no {name} in "
                "it): bring it back, or start again elsewhere; sweep.json keeps all results"
            )
        if known and not (self.launcher.resume or self.settings.join):
            raise UserError(
                f"{self.address} holds a study {name} already: take part in it by sweep.join=, or "
                "name another one by hydra.sweeper.study_name="
            )
        study = optuna.create_study(
            storage=found, study_name=name, directions=self.directions, load_if_exists=True,
            sampler=self.sampler, pruner=self.pruner or optuna.pruners.NopPruner(),
        )  # fmt: skip
        own = {**self.space.described, "direction": ", ".join(self.directions)}
        theirs = study.user_attrs.get("space")
        if theirs is None:
            study.set_user_attr("space", theirs := own)
        for key in (key for key in {**own, **theirs} if own.get(key) != theirs.get(key)):
            raise UserError(
                f"the study {name} in {self.address} is of another space ({key} is "
                f"{theirs.get(key)} there, {own.get(key)} here): ask for the same, or name "
                "another one by hydra.sweeper.study_name="
            )
        if study.trials:  # a sampler begins with its seed, and would propose the first points again
            self.sampler.reseed_rng()
        return study

    def _ask(self) -> dict[int, list[str]]:
        """The next trials and their jobs, of which the last may be run by somebody else by now."""
        jobs = {}
        with self._storage():
            for _ in range(min(self.settings.n_jobs, self.settings.n_trials - self._spent())):
                trial = self.study.ask()
                if self._spent(trial.number) > self.settings.n_trials:
                    self.study.tell(trial, state=_states().FAIL)
                    break
                jobs[trial.number] = [*self.space.suggest(trial), *self._address(trial.number)]
        return jobs

    def _spent(self, last: float = math.inf) -> int:
        """How many trials up to a number were begun; one that is run again counts once."""
        states = _states()
        trials = [t for t in self.study.get_trials(deepcopy=False) if t.number <= last]
        begun = [t for t in trials if t.state != states.WAITING]
        begun = [t for t in begun if t.params or t.state != states.FAIL]
        return len(begun) - sum(AGAIN in t.user_attrs for t in trials)

    def _tell(self) -> bool:
        """Tell each job's end whose trial still runs; False where there is nothing more to try."""
        more, states = True, _states()
        jobs = self._own_jobs()
        for trial in self.study.get_trials(states=(states.RUNNING,)):
            if trial.number not in jobs:
                continue
            record = jobs[trial.number].record
            values: Any = [getattr(record, name) for name in self.settings.objectives]
            state = states.COMPLETE
            if record.state != "done" or None in values:
                values, state = None, states.FAIL
            elif record.pruned:
                values, state = None, states.PRUNED
            elif self.pruner and not trial.intermediate_values:
                more = False
            try:
                self.study.tell(trial.number, values, state)
            except RuntimeError:  # grids are stopped so where all of them was tried
                return False
            if not more:
                raise UserError(
                    f"trial {trial.number} told no score on its way, and hydra.sweeper.pruner has "
                    "nothing to judge by: measure more often (every_n_steps of what measures), or "
                    "set hydra/sweeper/pruner=none; what was done is kept for resume_sweep="
                )
        return more

    def _queue_failed(self) -> None:
        """Let the trials of failed jobs of an earlier session be tried next."""
        again = {t.user_attrs.get(AGAIN) for t in self.study.trials}
        jobs = self._own_jobs()
        for trial in self.study.get_trials(states=(_states().FAIL,)):
            job = jobs.get(trial.number)
            if job is not None and not job.done and trial.number not in again:
                self.study.enqueue_trial(trial.params, user_attrs={AGAIN: trial.number})

    def _address(self, trial: int) -> tuple[str, ...]:
        """What a job is told of its trial."""
        name = f"hydra.sweeper.study_name={quoted(self.name)}"
        elsewhere = self.settings.join or self.settings.storage
        shared = [f"hydra.sweeper.storage={quoted(self.address)}"] if elsewhere else []
        return (f"hydra.sweeper.trial={trial}", name, *shared)

    def _own_jobs(self) -> dict[int, Job]:
        """The jobs of this sweep by the trials of the study that they ran last."""
        jobs = {job.overrides: job for job in self.launcher.sweep.jobs}
        found = {}
        for overrides, job in jobs.items():
            for word in overrides:
                if word.startswith("hydra.sweeper.trial="):
                    number = int(word.partition("=")[2])
                    if overrides[-len(self._address(number)) :] == self._address(number):
                        found[number] = job
        return found

    @contextmanager
    def _storage(self) -> Iterator[None]:
        try:
            yield
        except storage_errors() as error:
            reason = " ".join(str(error).split())[:150]
            raise DamagedFileError(
                f"{self.address} cannot be read as the study of the sweep ({reason}): once it "
                "can, go on by "
                f"{command('ganforge', 'train', f'resume_sweep={self.config.hydra.sweep.dir}')}"
            ) from error


def _states() -> Any:
    from optuna.trial import TrialState

    return TrialState
