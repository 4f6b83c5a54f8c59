"""Several jobs at a time: each gets a slot, which is a share of the machine's GPUs or cores."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from ganforge.sweeps.process import JobProcess, Record
from ganforge.utils.errors import UserError

Environment = dict[str, str]


def make_slots(jobs: int | None, gpus: Sequence[str], gpus_per_job: int) -> list[Environment]:
    """The environment of each slot.

    With GPUs there are as many slots as sets of ``gpus_per_job``, or ``jobs`` that share them;
    without, ``jobs`` (one by default) divide the cores. A UserError where there are fewer GPUs
    than one job should have.
    """
    if gpus_per_job > max(len(gpus), 1):
        raise UserError(
            f"hydra.launcher.gpus_per_job={gpus_per_job}, but {len(gpus)} GPUs are visible: ask "
            "for as many at most, or run the sweep where there are more"
        )
    sets = [gpus[i : i + gpus_per_job] for i in range(0, len(gpus), gpus_per_job)]
    sets = [names for names in sets if len(names) == gpus_per_job]
    count = jobs or len(sets) or 1
    if sets:
        return [{"CUDA_VISIBLE_DEVICES": ",".join(sets[i % len(sets)])} for i in range(count)]
    if count == 1 or "OMP_NUM_THREADS" in os.environ:
        return [{} for _ in range(count)]
    threads = max(1, (os.cpu_count() or 1) // count)
    return [{"OMP_NUM_THREADS": str(threads)} for _ in range(count)]


class JobQueue:
    """Runs jobs in slots; a job that fails frees its slot for the next."""

    def __init__(self, slots: Sequence[Environment], grace: float) -> None:
        self.grace = grace
        self._slots: SimpleQueue[Environment] = SimpleQueue()
        for slot in slots:
            self._slots.put(slot)
        self._pool = ThreadPoolExecutor(len(slots))
        self._events: SimpleQueue[tuple[Path, Record]] = SimpleQueue()
        self._running: set[JobProcess] = set()
        self._lock = Lock()
        self._stopped = False

    def run(self, folders: Sequence[Path]) -> Iterator[tuple[Path, Record]]:
        """Yield a job's folder and record when it starts and when it has ended.

        An interruption stops all jobs; those that ran are yielded no more, but their records lie
        in their folders.
        """
        try:
            for folder in folders:
                self._pool.submit(self._run_one, folder)
            ended = 0
            while ended < len(folders):
                folder, record = self._events.get()
                ended += record.state != "running"
                yield folder, record
        finally:
            self._stop()

    def _run_one(self, folder: Path) -> None:
        slot = self._slots.get()
        try:
            with self._lock:
                if self._stopped:
                    return
                process = JobProcess(folder, slot)
                self._running.add(process)
            self._events.put((folder, Record("running", log=str(process.log))))
            record = process.wait()
            with self._lock:
                self._running.discard(process)
        except OSError as error:  # no process could be started, or its log is in use
            record = Record("failed", reason=f"it could not be started: {error}")
        finally:
            self._slots.put(slot)
        self._events.put((folder, record))

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            running = list(self._running)
        with ThreadPoolExecutor(max(1, len(running))) as pool:
            list(pool.map(lambda process: process.stop(self.grace), running))
        self._pool.shutdown(wait=True, cancel_futures=True)
