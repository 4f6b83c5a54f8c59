"""Signals that ask a command to stop while no step of a training is there to be saved."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2")
ECHO = 1.0
"""Seconds in which a second Ctrl-C is the first one's echo, as shells and wrappers send both."""


class StopRequestedError(BaseException):
    """A signal came. No ``Exception``: what cleans up hears of it, what mends errors does not."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.signal = signal.Signals(number).name


@contextmanager
def stoppable() -> Iterator[None]:
    """Let a signal end the block by ``StopRequestedError``; a later Ctrl-C ends it at once.

    A signal that the process was started to ignore, as by ``nohup``, stays ignored.
    """
    numbers = [signal.Signals[name] for name in NAMES if name in signal.Signals.__members__]
    since = 0.0

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal since
        if not since:
            since = time.monotonic()
            raise StopRequestedError(number)
        if number == signal.SIGINT and time.monotonic() - since > ECHO:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    before = {}
    try:
        for number in numbers:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, stop)
    except ValueError:  # Python allows it in the main thread only
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
