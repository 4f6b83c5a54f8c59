"""One process trains in a folder: a lock that ends with its process, whatever ends that."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from ganforge.utils.errors import UserError
from ganforge.utils.runs import Run


def _lock(run: Run) -> FileLock:
    return FileLock(run.folder / ".lock")


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Keep the run's folder for the time of the block; raises UserError where another has it."""
    run.folder.mkdir(parents=True, exist_ok=True)
    lock = _lock(run)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"{run.folder} is being trained by another process: wait for its end, or stop it"
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_locked(run: Run) -> bool:
    """Whether a process trains in the run's folder now; nothing is written to find out."""
    if not (run.folder / ".lock").is_file():
        return False
    try:
        with _lock(run).acquire(timeout=0):
            return False
    except Timeout:
        return True
