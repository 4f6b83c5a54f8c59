"""``sweep.json``: the jobs of a sweep and what became of each, safe to read at any moment."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from ganforge.sweeps.process import Record, read_record, still_runs
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.files import write_json
from ganforge.utils.runs import by_number
from ganforge.utils.terminal import command as command_line

MANIFEST = "sweep.json"


@dataclass(frozen=True)
class Job:
    """One training of a sweep: what it changes, where it lies, what became of it."""

    number: int
    overrides: tuple[str, ...]
    record: Record = field(default_factory=Record)

    @property
    def settings(self) -> dict[str, str]:
        """The overrides as keys and values, Hydra's own left out."""
        pairs = (override.lstrip("+~").partition("=") for override in self.overrides)
        return {key: value for key, _, value in pairs if not key.startswith("hydra.")}

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.record.state == "done"


class Sweep:
    """The jobs in a sweep's folder; job N lies in the folder ``N``.

    Only the process that leads the sweep writes ``sweep.json``; each job's own record lies in its
    folder, so that jobs on other machines need no lock.
    """

    # The sweeps that this process leads: the command line reports on them when Hydra is through.
    started: ClassVar[list["Sweep"]] = []

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        jobs: Sequence[Job] = (),
        trials: int | None = None,
    ) -> None:
        self.folder = folder
        self.command = list(command)
        self.trials = trials
        self.jobs = list(jobs)
        self._unclaimed = [job.number for job in self.jobs]

    @classmethod
    def create(cls, folder: Path, command: Sequence[str], trials: int | None) -> "Sweep":
        """A new sweep of ``trials`` (None: as many as the command names).

        Raises UserError where there is one already.
        """
        folder.mkdir(parents=True, exist_ok=True)
        try:
            (folder / MANIFEST).touch(exist_ok=False)
        except FileExistsError as error:
            raise UserError(
                f"{folder} holds a sweep already: go on with it by "
                f"{command_line('ganforge', 'train', f'resume_sweep={folder}')}, "
                "or choose another hydra.sweep.dir"
            ) from error
        from ganforge.config.trust import remember_command

        sweep = cls(folder, command, trials=trials)
        sweep.write()
        remember_command(command)
        return sweep

    @classmethod
    def read(cls, folder: str | Path) -> "Sweep":
        """The sweep in a folder, each unfinished job's state taken from its own record."""
        folder = Path(folder).expanduser()
        path = folder / MANIFEST
        if not path.is_file():
            near = [path.parent.name for path in by_number(folder.parent.glob(f"*/{MANIFEST}"))]
            hint = (
                f"sweeps in {folder.parent}: {', '.join(near[-5:])}"
                if near
                else "start one: ganforge train -m seed=1,2"
            )
            raise UserError(f"{folder} is not a sweep (no {MANIFEST} in it); {hint}")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            jobs = [_job(item) for item in data["jobs"]]
            sweep = cls(folder, data["command"], jobs, data["trials"])
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise DamagedFileError(
                f"{path} cannot be read as a sweep's list of jobs ({reason[:120]}): "
                "start the sweep again in another folder"
            ) from error
        sweep.refresh()
        return sweep

    def job_folder(self, job: Job) -> Path:
        """Where a job's run lies."""
        return self.folder / str(job.number)

    def claim(self, overrides: Sequence[str]) -> Job:
        """The job with these overrides: one of an earlier session, or a new one."""
        for number in self._unclaimed:
            if _asked(self.jobs[number].overrides) == _asked(overrides):
                self._unclaimed.remove(number)
                self.jobs[number] = replace(self.jobs[number], overrides=tuple(overrides))
                return self.jobs[number]
        job = Job(len(self.jobs), tuple(overrides))
        self.jobs.append(job)
        return job

    def update(self, number: int, record: Record) -> None:
        """Put down what became of a job."""
        self.jobs[number] = replace(self.jobs[number], record=record)
        self.write()

    def refresh(self) -> None:
        """Take the state of unfinished jobs from the records in their folders."""
        for job in self.jobs:
            if not job.done and (record := read_record(self.job_folder(job))) is not None:
                self.jobs[job.number] = replace(job, record=record)

    def refuse_running(self) -> None:
        """Raise UserError when a job of an earlier session still runs."""
        running = [str(job.number) for job in self.jobs if still_runs(self.job_folder(job))]
        if running:
            raise UserError(
                f"job {', '.join(running)} of {self.folder} still runs: wait for it, or stop it"
            )

    def write(self) -> None:
        """Write ``sweep.json``; a reader never sees half of it."""
        jobs = [
            {"number": job.number, "overrides": list(job.overrides), **asdict(job.record)}
            for job in self.jobs
        ]
        head = {"version": 1, "command": self.command, "trials": self.trials}
        write_json({**head, "jobs": jobs}, self.folder / MANIFEST)


def _asked(overrides: Sequence[str]) -> list[str]:
    """What a job is asked for; by which trial of a study, is not part of it."""
    return sorted(word for word in overrides if not word.startswith("hydra.sweeper."))


def _job(item: dict[str, Any]) -> Job:
    known = {entry.name for entry in fields(Record)}
    record = Record(**{key: value for key, value in item.items() if key in known})
    if isinstance(record.value, bool) or not isinstance(record.value, int | float | None):
        raise TypeError(f"the value of job {item['number']} is no number")
    return Job(int(item["number"]), tuple(item["overrides"]), record)
