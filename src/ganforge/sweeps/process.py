"""One job of a sweep is a process of its own: started, watched, and its end recorded."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from ganforge.utils.files import write_json
from ganforge.utils.runs import Run

RECORD, LOG = "job.json", "job.log"
INTERRUPTED = "the sweep was interrupted"
STARTER, LOOK = "GANFORGE_STARTER", 0.5  # seconds
JOB = (sys.executable, "-P", "-m", "ganforge", "job")


@dataclass(frozen=True)
class Record:
    """What became of a job: waiting, running, done, failed or interrupted, and the reason.

    ``protocol`` is how ``value`` was measured: equal ones may be ranked together.
    """

    state: str = "waiting"
    objective: str | None = None
    value: float | None = None
    step: int | None = None
    pruned: bool = False
    seconds: float | None = None
    exit_code: int | None = None
    reason: str | None = None
    log: str | None = None
    protocol: dict[str, Any] | None = None

    @property
    def told(self) -> str:
        """The reason, and where the log lies if there is one."""
        return f"{self.reason} ({self.log})" if self.log else str(self.reason)


class JobProcess:
    """A running job. Its log is locked while any of its processes lives, whoever started it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.log = folder / LOG
        self._started = time.monotonic()
        self._stopped: str | None = None
        with self.log.open("ab") as log:
            _lock(log)  # first of all: where an earlier process of the job lives, all is its
            Run(folder).outcome.unlink(missing_ok=True)
            _write(folder, Record("running", log=str(self.log)))
            # A session of its own: Ctrl-C reaches the job once, and all ranks of it.
            self._process = subprocess.Popen(
                [*JOB, str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_names(folder), **environment, STARTER: str(os.getpid())},
                start_new_session=True,
            )

    def wait(self) -> Record:
        """Wait for the end and put it down."""
        code = self._process.wait()
        # A rank that outlives its first one would keep the device and the log.
        self._signal(signal.SIGKILL)
        record = replace(
            _ended(self.folder, code),
            seconds=round(time.monotonic() - self._started, 1),
            log=str(self.log),
        )
        if self._stopped and record.state != "done":
            record = replace(record, state="interrupted", reason=self._stopped)
        _write(self.folder, record)
        return record

    def stop(self, grace: float, reason: str = INTERRUPTED) -> None:
        """Interrupt the job as Ctrl-C does; after ``grace`` seconds end what is left of it.

        ``reason`` is recorded by ``wait``.
        """
        self._stopped = reason
        self._signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def stop_with_starter() -> None:
    """In a job: let it save and stop, all ranks of it, when what started it has been killed."""
    starter = os.environ.pop(STARTER, None)  # ranks have another parent

    def watch() -> None:
        while os.getppid() == int(starter):
            time.sleep(LOOK)
        os.killpg(0, signal.SIGTERM)

    if starter is not None and os.getpgrp() == os.getpid():
        threading.Thread(target=watch, daemon=True).start()


def read_record(folder: Path) -> Record | None:
    """The record in a job's folder; of a job whose starter was killed, the end is found out."""
    record = _read(folder)
    if record is None or record.state != "running" or still_runs(folder):
        return record
    ended = _ended(folder, None)
    lost = "the process that started it was killed"
    return replace(ended, log=record.log, reason=None if ended.state == "done" else lost)


def still_runs(folder: Path) -> bool:
    """Whether a process of the job lives: it holds the lock of the log."""
    try:
        with (folder / LOG).open("rb") as log:
            _lock(log)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def describe_end(code: int | None, error: str | None, log: Path) -> str:
    """Why a job failed, in one line."""
    if error:
        return error
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        memory = ": out of memory, or stopped from outside" if name == "SIGKILL" else ""
        return f"killed by {name}{memory}"
    last = _last_line(log)
    return f"exit code {code}: {last}" if last else f"exit code {code}"


def _ended(folder: Path, code: int | None) -> Record:
    """The record of an ended job from its exit code and from what it left."""
    outcome = _read_json(Run(folder).outcome)
    error = outcome.get("error")
    if code in (0, None) and outcome and error is None:
        return Record("done", exit_code=code, **outcome)
    return Record("failed", exit_code=code, reason=describe_end(code, error, folder / LOG))


def _names(folder: Path) -> dict[str, str]:
    """What a configuration may call the job and its sweep, as that of W&B does."""
    sweep = folder.absolute().parent.name
    return {"GANFORGE_SWEEP": sweep, "GANFORGE_JOB": f"{sweep}/{folder.name}"}


def _lock(file: IO[bytes]) -> None:
    """Take the lock of an open file, which all processes that inherit the file hold; or raise."""
    import fcntl  # not on Windows, where every command would fail by it

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _last_line(log: Path) -> str:
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")
    return ""


def _write(folder: Path, record: Record) -> None:
    write_json(asdict(record), folder / RECORD)


def _read(folder: Path) -> Record | None:
    data = _read_json(folder / RECORD)
    return Record(**data) if data else None


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a file that is written atomically; empty where there is none."""
    with suppress(OSError, ValueError):
        data = json.loads(path.read_text(encoding="utf-8"))
        return data if isinstance(data, dict) else {}
    return {}
