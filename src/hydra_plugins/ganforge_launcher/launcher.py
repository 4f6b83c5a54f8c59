"""Hydra launchers whose jobs are processes of their own, listed in ``sweep.json``.

``LocalLauncher`` queues them on this machine; ``EngineLauncher`` lets an installed launcher take
them to a cluster, where each starts its process.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from ganforge.sweeps.jobs import (
    announce,
    interruptible,
    prepare_job,
    refuse_if_all_lack,
    visible_gpus,
)
from ganforge.sweeps.manifest import Job, Sweep
from ganforge.sweeps.process import INTERRUPTED, Record
from ganforge.sweeps.slots import JobQueue, make_slots
from ganforge.training.claim import refuse_taken
from ganforge.utils.errors import UserError

ELSEWHERE = "what a cluster has queued or begun goes on there until it is cancelled"


class SweepLauncher(Launcher):
    """What both have in common: the list of jobs, and that finished ones are not run again."""

    def __init__(self, resume: bool = False) -> None:
        self.resume = resume

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Open the sweep's folder: sweepers may want to keep files there."""
        self.context, self.task_function, self.config = hydra_context, task_function, config
        folder = Path(str(config.hydra.sweep.dir))
        trials = config.hydra.sweeper.get("n_trials")
        if self.resume:
            self.sweep = Sweep.read(folder)
        else:
            refuse_taken(folder)
            self.sweep = Sweep.create(folder, sys.argv[1:], trials)
        self.sweep.refuse_running()
        Sweep.started.append(self.sweep)

    def launch(
        self,
        job_overrides: Sequence[Sequence[str]],
        initial_job_idx: int,  # noqa: ARG002 - jobs are numbered over sessions
    ) -> Sequence[JobReturn]:
        """Run the jobs that are not done; a failed one returns None, which Optuna can be told."""
        setup_globals()
        jobs = [self.sweep.claim(overrides) for overrides in job_overrides]
        self.sweep.write()
        missing = [job for job in jobs if not job.done]
        try:
            if missing:
                self.run(missing)
        finally:  # an interruption included
            self.sweep.refresh()
            self.sweep.write()
        return [self._returned(self.sweep.jobs[job.number]) for job in jobs]

    def run(self, jobs: Sequence[Job]) -> None:
        """Run the jobs to their ends."""
        raise NotImplementedError

    def job_overrides(self, job: Job) -> list[str]:
        """The job's overrides and its folder."""
        return [*job.overrides, f"hydra.sweep.subdir='{job.number}'"]

    @staticmethod
    def _returned(job: Job) -> JobReturn:
        result = JobReturn(overrides=list(job.overrides), status=JobStatus.COMPLETED)
        result.return_value = job.record.value
        return result


class LocalLauncher(SweepLauncher):
    """Queues jobs over the visible GPUs, or ``jobs`` at a time.

    Args:
        jobs: jobs at a time; None is one a set of GPUs, or one where there is none.
        gpus_per_job: GPUs that a job sees.
        grace: seconds that an interrupted job has to save and to end.
        resume: go on with the sweep in the folder.

    """

    def __init__(
        self,
        jobs: int | None = None,
        gpus_per_job: int = 1,
        grace: float = 20.0,
        resume: bool = False,
    ) -> None:
        super().__init__(resume)
        self.jobs, self.gpus_per_job, self.grace = jobs, gpus_per_job, grace

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Refuse impossible numbers before anything is written."""
        for key in ("jobs", "gpus_per_job"):
            value = getattr(self, key)
            if value is not None and not (isinstance(value, int) and value > 0):
                raise UserError(f"hydra.launcher.{key}={value} must be a number from 1 on")
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def run(self, jobs: Sequence[Job]) -> None:
        """Compose each job's configuration here, then run them in the queue."""
        for job in jobs:
            self._prepare(job)
        refuse_if_all_lack([self.sweep.job_folder(job) for job in jobs])
        numbers = {self.sweep.job_folder(job): job.number for job in jobs}
        slots = make_slots(self.jobs, visible_gpus(), self.gpus_per_job)
        queue = JobQueue(slots[: len(jobs)], self.grace)
        with interruptible(), closing(queue.run(list(numbers))) as events:
            for folder, record in events:
                self.sweep.update(numbers[folder], record)
                announce(self.sweep, self.sweep.jobs[numbers[folder]])

    def _prepare(self, job: Job) -> None:
        config = self.context.config_loader.load_sweep_config(self.config, self.job_overrides(job))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = job.number
        prepared = run_job(
            hydra_context=self.context,
            task_function=prepare_job,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        _ = prepared.return_value  # raises what the configuration raised


class EngineLauncher(SweepLauncher):
    """Hands jobs to another launcher.

    Args:
        engine: configuration of that launcher.
        environment: variables that are set before it starts, unless they are set already.
        resume: go on with the sweep in the folder.

    """

    def __init__(
        self,
        engine: DictConfig,
        environment: Mapping[str, str] | None = None,
        resume: bool = False,
    ) -> None:
        super().__init__(resume)
        self.engine, self.environment = engine, environment or {}

    def run(self, jobs: Sequence[Job]) -> None:
        """Let the engine call the task for each job, which starts a process where it is called."""
        for name, value in self.environment.items():
            os.environ.setdefault(name, str(value))
        config = self.config.copy()
        with open_dict(config):
            config.hydra.launcher = self.engine
        engine = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=self.context, task_function=self.task_function
        )
        try:
            with interruptible():
                ended = engine.launch([self.job_overrides(job) for job in jobs], jobs[0].number)
        except KeyboardInterrupt:
            self._close(jobs, "interrupted", [f"{INTERRUPTED}; {ELSEWHERE}"] * len(jobs))
            raise
        except Exception as error:  # noqa: BLE001 - each engine has errors of its own
            reason = f"the launcher stopped ({_line(error)}){_advice(error)}; {ELSEWHERE}"
            self._close(jobs, "failed", [reason] * len(jobs))
        else:
            self._close(jobs, "failed", [_why_not_started(job) for job in ended])

    def _close(self, jobs: Sequence[Job], state: str, reasons: Sequence[str]) -> None:
        """Take each job's end from its folder; ``state`` is that of jobs which left nothing."""
        self.sweep.refresh()
        for number, reason in zip((job.number for job in jobs), reasons, strict=True):
            if self.sweep.jobs[number].record.state == "waiting":
                self.sweep.update(number, Record(state, reason=reason))
            announce(self.sweep, self.sweep.jobs[number])


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _advice(error: Exception) -> str:
    """What to do about a refusal that every cluster without GPUs gives."""
    no_gpus = "generic resource" in str(error)
    return ": without GPUs, set hydra.launcher.engine.gpus_per_node=null" if no_gpus else ""


def _why_not_started(returned: JobReturn) -> str:
    """Why an engine that is through left no record of a job: what it raised where it ran."""
    try:
        _ = returned.return_value
    except Exception as error:  # noqa: BLE001 - each engine has errors of its own
        return f"stopped before its training began ({_line(error)})"
    return "the launcher ended without starting it"
