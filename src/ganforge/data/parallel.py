"""Work in a pool of processes, in order, with a progress bar on stderr."""

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from types import ModuleType
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ganforge.utils.errors import UserError
from ganforge.utils.terminal import terminal

Item = TypeVar("Item")
Result = TypeVar("Result")
CHUNK = 32  # photographs of a camera take seconds already
QUICK = 128  # items without a bar
PATIENCE = 2  # seconds without a word
REFRESH = 0.1  # seconds between its looks
WORTH_A_POOL = 512  # starting processes takes about as long as this many images


def map_chunks(
    function: Callable[[Sequence[Item]], Result],
    items: Sequence[Item],
    what: str,
    workers: int | None = None,
    chunk: int = CHUNK,
) -> Iterator[Result]:
    """Yield ``function(part)`` for consecutive parts of ``items``, in order.

    ``function`` must be importable (a top-level function or a partial of one): workers are spawned.
    Whoever stops waiting still waits for the parts that are worked on: small ones end sooner.
    """
    parts = [items[start : start + chunk] for start in range(0, len(items), chunk)]
    columns = [TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()]
    columns.append(TimeRemainingColumn())
    quick = len(items) <= QUICK
    with Progress(*columns, console=terminal(stderr=True), disable=quick) as progress:
        task = progress.add_task(what, total=len(items))
        for part, result in zip(parts, _results(function, parts, len(items), workers), strict=True):
            progress.advance(task, len(part))
            yield result


def map_threads(
    function: Callable[[Sequence[Item]], Result],
    parts: Iterable[Sequence[Item]],
    count: int,
    what: str,
) -> Iterator[tuple[Sequence[Item], Result]]:
    """Yield each part of ``count`` items with ``function(part)``, in order: disks make one wait."""
    with patient_progress(what, count) as advance, ThreadPoolExecutor(4) as pool:
        waiting: deque[tuple[Sequence[Item], Future[Result]]] = deque()
        for part in parts:
            waiting.append((part, pool.submit(function, part)))
            if len(waiting) < 16:
                continue
            done, result = waiting.popleft()
            yield done, result.result()
            advance(len(done))
        for done, result in waiting:
            yield done, result.result()
            advance(len(done))


@contextmanager
def patient_progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts; the bar shows itself when two seconds have gone.

    ``total`` None: nobody knows how many there will be.
    """
    columns = [TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()]
    bar = Progress(*columns, console=terminal(stderr=True), transient=True)
    task, due, done = bar.add_task(what, total=total), time.monotonic() + PATIENCE, 0

    def advance(count: int) -> None:
        nonlocal due, done
        done += count
        if time.monotonic() < due:
            return
        bar.update(task, completed=done)
        bar.start()
        due = time.monotonic() + REFRESH

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


def _results(
    function: Callable[[Sequence[Item]], Result],
    parts: list[Sequence[Item]],
    count: int,
    workers: int | None,
) -> Iterator[Result]:
    workers = workers or _cores()
    if workers < 2 or count < WORTH_A_POOL:
        yield from map(function, parts)
        return
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_end_with_parent
    ) as pool:
        try:
            yield from _bounded(pool, function, parts, ahead=4 * workers)
        except BrokenProcessPool as error:
            time.sleep(0.5)  # a signal to all of these processes interrupts this one as well
            raise UserError(
                "A process that prepares the images was stopped, perhaps for want of memory: "
                "try data.source.workers=1."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """In a worker: end when its parent has, whatever ended that; Ctrl-C is for the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    if parent is not None:
        threading.Thread(target=watch, daemon=True).start()


def _cores() -> int:
    """Count the cores this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _bounded(
    pool: ProcessPoolExecutor,
    function: Callable[[Sequence[Item]], Result],
    parts: list[Sequence[Item]],
    ahead: int,
) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    for part in parts:
        waiting.append(submit(pool, function, part))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def submit(
    pool: ProcessPoolExecutor, function: Callable[[Sequence[Item]], Result], part: Sequence[Item]
) -> Future[Result]:
    """Submit with an empty ``__main__``: a spawned worker would else run the caller's script again.

    The script may be without a guard, and then wait for the lock that its parent holds.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        return pool.submit(function, part)
    finally:
        sys.modules["__main__"] = main
