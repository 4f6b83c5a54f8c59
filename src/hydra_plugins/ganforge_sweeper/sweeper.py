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
OBJECTIVES = ("value", "seconds", "step")  # fields of a job's record


class OptunaSweeper(Sweeper):
    """Runs the trials of a study; ``conf/hydra/sweeper/optuna.yaml`` tells what can be set."""

    def __init__(self, **settings: Any) -> None:
        self.given = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Refuse what cannot be run before anything is written."""
        self.context, self.task_function, self.config = hydra_context, task_function, config
        self.settings, name = config.hydra.sweeper, "hydra.sweeper"
        self.shared = self.settings.join or self.settings.storage
        self.address = str(self.shared or f"sqlite:///{config.hydra.sweep.dir}/study.db")
        self.name, wanted = str(self.settings.study_name or config.name), self.settings.direction
        self.directions = [wanted] if isinstance(wanted, str) else list(wanted)
        for key in ("n_trials", "n_jobs"):
            value = self.settings[key]
            if not (isinstance(value, int) and value > 0):
                raise UserError(f"{name}.{key}={value} must be a number from 1 on")
        if unknown := set(self.settings.objectives) - set(OBJECTIVES):
            known = "value, seconds and step"
            raise UserError(f"{name}.objectives has {', '.join(unknown)}, and there are {known}")
        many = len(self.settings.objectives)
        if set(self.directions) - {"minimize", "maximize"} or len(self.directions) != many:
            raise UserError(f"{name}.direction must be minimize or maximize for each objective")
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

        self.states = optuna.trial.TrialState
        self.sampler, pruner = build_as(self.settings.sampler, optuna.samplers.BaseSampler), None
        if self.settings.pruner:
            pruner = build_as(self.settings.pruner, optuna.pruners.BasePruner)
        if pruner and many > 1:
            raise UserError(f"{name}.pruner needs one objective: hydra/sweeper/pruner=none")
        self.pruner = pruner or optuna.pruners.NopPruner()

    def sweep(self, arguments: list[str]) -> None:
        """Run what is missing of the study; a stop or a lost storage loses no job's result."""
        from ganforge.sweeps.plots import draw
        from ganforge.sweeps.space import Space

        params, conditional = self.settings.params or {}, self.settings.conditional or {}
        self.space = Space.read(params, conditional, arguments)
        self.launcher = Plugins.instance().instantiate_launcher(
            config=self.config, hydra_context=self.context, task_function=self.task_function
        )
        if not isinstance(self.launcher, SweepLauncher):
            raise UserError("sweeps by Optuna need one of the launchers that launcher= offers")
        with self._storage():
            self.study = self._open()
            self._tell()
            self._queue_failed()
        more = True
        while more and (jobs := self._ask()):
            try:
                self.launcher.launch(list(jobs.values()), min(jobs))
            finally:
                with self._storage():
                    more = self._tell()
        with telling("the study"):
            draw(self.study, self.launcher.sweep.folder)

    def _open(self) -> Any:
        """The study, made or taken up; a UserError where it searches something else."""
        import optuna

        name, found = self.name, open_storage(self.address)
        other = "name another one by hydra.sweeper.study_name="
        known, resumed = name in optuna.get_all_study_names(found), self.launcher.resume
        if resumed and not known:
            raise DamagedFileError(
                f"{self.address} cannot be read as the study of the sweep (there is no {name} in "
                "it): bring it back, or start again elsewhere; sweep.json keeps all results"
            )
        if known and not (resumed or self.settings.join):
            raise UserError(
                f"{self.address} holds a study {name} already: take part in it by sweep.join=, or "
                f"{other}"
            )
        study = optuna.create_study(
            storage=found, study_name=name, directions=self.directions, load_if_exists=True,
            sampler=self.sampler, pruner=self.pruner,
        )  # fmt: skip
        own = {**self.space.described, "direction": ", ".join(self.directions)}
        theirs = study.user_attrs.get("space")
        if theirs is None:
            study.set_user_attr("space", theirs := own)
        for key in (key for key in {**own, **theirs} if own.get(key) != theirs.get(key)):
            raise UserError(
                f"the study {name} in {self.address} is of another space ({key} is "
                f"{theirs.get(key)} there, {own.get(key)} here): ask for the same, or {other}"
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
                    self.study.tell(trial, state=self.states.FAIL)
                    break
                jobs[trial.number] = [*self.space.suggest(trial), *self._words(trial.number)]
        return jobs

    def _spent(self, last: float = math.inf) -> int:
        """How many trials up to a number were begun; one that is run again counts once."""
        trials = [t for t in self.study.get_trials(deepcopy=False) if t.number <= last]
        unused = [t for t in trials if t.state == self.states.FAIL and not t.params]
        waiting = [t for t in trials if t.state == self.states.WAITING]
        again = sum(AGAIN in t.user_attrs for t in trials)
        return len(trials) - len(unused) - len(waiting) - again

    def _tell(self) -> bool:
        """Tell each job's end whose trial still runs; False where there is nothing more to try."""
        jobs, states = self._jobs(), self.states
        for trial in self.study.get_trials(states=(states.RUNNING,)):
            if (job := jobs.get(trial.number)) is None:
                continue
            values: Any = [getattr(job.record, name) for name in self.settings.objectives]
            state = states.PRUNED if job.record.pruned else states.COMPLETE
            state = states.FAIL if not job.done or None in values else state
            try:
                self.study.tell(trial.number, values if state == states.COMPLETE else None, state)
            except RuntimeError:  # grids are stopped so where all of them was tried
                return False
            judged = trial.intermediate_values or not self.settings.pruner
            if state == states.COMPLETE and not judged:
                raise UserError(
                    f"trial {trial.number} told no score on its way, and hydra.sweeper.pruner has "
                    "nothing to judge by: measure more often (every_n_steps of what measures), or "
                    "set hydra/sweeper/pruner=none; what was done is kept for resume_sweep="
                )
        return True

    def _queue_failed(self) -> None:
        """Let the trials of failed jobs of an earlier session be tried next."""
        again, jobs = {t.user_attrs.get(AGAIN) for t in self.study.trials}, self._jobs()
        for trial in self.study.get_trials(states=(self.states.FAIL,)):
            job = jobs.get(trial.number)
            if job is not None and not job.done and trial.number not in again:
                self.study.enqueue_trial(trial.params, user_attrs={AGAIN: trial.number})

    def _words(self, trial: int) -> tuple[str, ...]:
        """What a job is told of its trial."""
        name = f"hydra.sweeper.study_name={quoted(self.name)}"
        shared = [f"hydra.sweeper.storage={quoted(self.address)}"] if self.shared else []
        return (f"hydra.sweeper.trial={trial}", name, *shared)

    def _jobs(self) -> dict[int, Job]:
        """The jobs of this sweep by the trials of the study that they ran last."""
        numbers = {self._words(trial.number): trial.number for trial in self.study.trials}
        told = {job.overrides[-len(self._words(0)) :]: job for job in self.launcher.sweep.jobs}
        return {numbers[words]: job for words, job in told.items() if words in numbers}

    @contextmanager
    def _storage(self) -> Iterator[None]:
        try:
            yield
        except storage_errors() as error:
            again = command("ganforge", "train", f"resume_sweep={self.config.hydra.sweep.dir}")
            raise DamagedFileError(
                f"{self.address} cannot be read as the study of the sweep "
                f"({' '.join(str(error).split())[:150]}): once it can, go on by {again}"
            ) from error
