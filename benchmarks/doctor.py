"""``python -m benchmarks.doctor [key=value ...]``: what the training doctor costs a step.

Blocks of steps with and without it alternate within one training, so that what else the machine
does meets both alike. Time is the process's own, on one thread: CPU only.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import open_dict

from ganforge.callbacks.doctor.callback import Doctor
from ganforge.config.build import build
from ganforge.config.compose import config_dir
from ganforge.training.fit import build_trainer, keep_quiet
from ganforge.utils.runs import Run

BLOCK = 100  # steps: one look at samples, four at readings


class Alternate(Callback):
    """Takes the doctor out of every other block; the first pair warms up."""

    def __init__(self) -> None:
        self.seconds: dict[bool, list[float]] = {True: [], False: []}
        self._doctor: Doctor | None = None
        self._place = 0
        self._began = 0.0
        self._ended = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Start the first block, with the doctor."""
        self._doctor = next(c for c in trainer.callbacks if isinstance(c, Doctor))
        self._place = trainer.callbacks.index(self._doctor)
        self._began = time.process_time()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """End a block and start the next one with the other setting."""
        # A callback put back into the list makes Lightning come by once more in the same step.
        if trainer.global_step % BLOCK or trainer.global_step == self._ended:
            return
        self._ended = trainer.global_step
        watched = self._doctor in trainer.callbacks
        self.seconds[watched].append(time.process_time() - self._began)
        if watched:
            trainer.callbacks.remove(self._doctor)
            self._doctor.on_exception(trainer, pl_module, KeyboardInterrupt())
        else:
            trainer.callbacks.insert(self._place, self._doctor)
            self._doctor.on_fit_start(trainer, pl_module)
        self._began = time.process_time()

    def overheads(self) -> list[float]:
        """For each pair of blocks, how much longer the watched one took."""
        pairs = zip(self.seconds[True], self.seconds[False], strict=True)
        return [watched / alone - 1 for watched, alone in pairs][1:]


def measure(overrides: list[str], pairs: int) -> list[float]:
    """Train ``pairs`` pairs of blocks after a pair that warms up."""
    torch.set_num_threads(1)
    keep_quiet()
    with tempfile.TemporaryDirectory(prefix="ganforge-bench-") as folder:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            fixed = [
                f"paths.output_dir={folder}", "logger=[]", "trainer.accelerator=cpu",
                f"trainer.max_steps={2 * BLOCK * (pairs + 1)}",
                # As dear as it can be: a snapshot in every block.
                f"callbacks.doctor.rescue.every_n_steps={BLOCK}",
                "~callbacks.checkpoints", "~callbacks.progress", "~callbacks.health",
            ]  # fmt: skip
            config = compose("train", [*overrides, *fixed], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        module, data = build(config.model), build(config.data)
        trainer = build_trainer(config, Run(Path(folder)))
        alternate = Alternate()
        trainer.callbacks.append(alternate)
        trainer.fit(module, datamodule=data)
    return alternate.overheads()


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.doctor", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="of blocks (default 5)")
    parser.add_argument("overrides", nargs="*", help="key=value of the training configuration")
    options = parser.parse_args(arguments)
    found = measure(options.overrides, options.pairs)
    print(
        f"the doctor costs {median(found):.2%} of a step's time (median of {len(found)} pairs of "
        f"{BLOCK} steps; {min(found):.2%} to {max(found):.2%})"
    )


if __name__ == "__main__":
    sys.exit(main())
