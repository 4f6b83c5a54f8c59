"""Time of the steps after the warm-up."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


def now(device: torch.device) -> float:
    """Seconds of a steady clock, once ``device`` has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class Stopwatch:
    """Ticked at the end of every step; waits for the device only where timing begins and ends.

    ``seconds`` are those of the clock. ``computing`` are those of this process on all cores: on a
    busy machine they change less, and with one thread they are what an idle one would take.
    """

    def __init__(self, warmup: int, steps: int, device: torch.device) -> None:
        self._first, self._last = warmup, warmup + steps
        self._device = device
        self._ticks = 0
        self._start = self._computed = 0.0
        self.seconds: float | None = None
        self.computing: float | None = None

    def tick(self) -> None:
        """Count one step."""
        self._ticks += 1
        if self._ticks == self._first:
            self._start, self._computed = now(self._device), time.process_time()
        elif self._ticks == self._last:
            self.seconds = now(self._device) - self._start
            self.computing = time.process_time() - self._computed


class StopwatchCallback(Callback):
    """A stopwatch in a Lightning run, from one batch's end to another's: loop and loggers count."""

    def __init__(self, warmup: int, steps: int) -> None:
        self._warmup, self._steps = warmup, steps
        self.watch: Stopwatch | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Take the device of the run."""
        self.watch = Stopwatch(self._warmup, self._steps, pl_module.device)

    def on_train_batch_end(self, *_: Any) -> None:
        """Count one step."""
        self.watch.tick()
