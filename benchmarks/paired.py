"""What Lightning and the loggers cost: blocks of both loops in turn, in one process.

A difference of a few percent drowns in what else a machine does between two processes. Here a block
of steps under Lightning is followed at once by as many steps of the bare loop.
"""

from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.bare import BareLoop
from benchmarks.lightning_run import fit
from benchmarks.settings import BLOCK, Settings
from benchmarks.stopwatch import now


class Interlude(Callback):
    """Runs the bare loop after every block of Lightning's; the first block of each warms up."""

    def __init__(self, loop: BareLoop, device: torch.device) -> None:
        self.loop, self.device = loop, device
        self.lightning: list[float] = []
        self.bare: list[float] = []
        self._resumed = 0.0

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Close Lightning's block, run the bare loop's, and start Lightning's next."""
        # Loggers write after this hook, so a block begins and ends one step before they do.
        if trainer.global_step % BLOCK != BLOCK - 1:
            return
        ended = now(self.device)
        for _ in range(BLOCK):
            self.loop.step()
        if trainer.global_step > BLOCK:
            self.lightning.append(ended - self._resumed)
            self.bare.append(now(self.device) - ended)
        self._resumed = now(self.device)


def overheads(settings: Settings) -> list[float]:
    """For each pair of blocks, how much longer Lightning's took: 0.05 is 5 percent."""
    blocks = settings.steps // BLOCK + 1
    settings = replace(settings, warmup=0, steps=BLOCK * blocks - 1, log_every=BLOCK)
    loop = BareLoop(settings)
    interlude = Interlude(loop, loop.device)
    fit(settings, interlude)
    return [a / b - 1 for a, b in zip(interlude.lightning, interlude.bare, strict=True)]
