"""Signals that ask a run to stop: they are noted, and obeyed when a step is complete."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

GRACE = 1.0
"""Seconds in which a second Ctrl-C is the first one's echo, as shells and wrappers send both."""


class StopSignals:
    """Notes the named signals; a second Ctrl-C ends the process at once.

    Between ``install`` and ``remove`` the signals do nothing else. All ranks learn of a signal that
    one of them got.
    """

    def __init__(self, names: Sequence[str]) -> None:
        never = ("SIGKILL", "SIGSTOP")  # the system tells no process of these
        known = set(signal.Signals.__members__) - set(never)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(
                f"callbacks.checkpoints.signals: {unknown[0]} is no signal that a process is "
                "told of; SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 are usual"
            )
        self.signals = [signal.Signals[name] for name in names]
        self._received, self._since = 0, 0.0
        self._before: dict[signal.Signals, Any] = {}
        self._group: Any = None

    def install(self) -> None:
        """Begin to listen; in a thread that cannot, signals keep their meaning."""
        try:
            self._before = {each: signal.signal(each, self._note) for each in self.signals}
        except ValueError:  # Python allows it in the main thread only
            self._before = {}
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            # A group of its own: asking a GPU in every step would make it wait.
            self._group = dist.new_group(backend="gloo")

    def remove(self) -> None:
        """Give the signals their meaning back."""
        for each, handler in self._before.items():
            signal.signal(each, handler if handler is not None else signal.SIG_DFL)
        self._before = {}
        self._group = None

    def received(self) -> str | None:
        """The name of the signal that a rank got; every rank must ask at the same moment."""
        if self._group is None:
            number = self._received
        else:
            numbers = torch.tensor([self._received])
            dist.all_reduce(numbers, dist.ReduceOp.MAX, self._group)
            number = int(numbers)
        return signal.Signals(number).name if number else None

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._received:
            if number == signal.SIGINT and time.monotonic() - self._since > GRACE:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        self._received, self._since = number, time.monotonic()
        name = signal.Signals(number).name
        again = "; once more stops at once" if number == signal.SIGINT else ""
        print(f"\nganforge: {name}: saving when this step is over{again}", file=sys.stderr)
