"""What surviving costs: ``python -m benchmarks.reliability checkpoints`` or ``memory``."""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Callback, Trainer
from omegaconf import open_dict
from rich.console import Console

from ganforge.callbacks.checkpoints import Checkpoints
from ganforge.config.compose import config_dir
from ganforge.training.fit import train
from ganforge.utils.files import write_json

CADENCE = 500
"""Steps from one checkpoint to the next in ``conf/callbacks/checkpoints.yaml``."""


class TimedCheckpoints(Checkpoints):
    """Notes how long each saving takes, writing, reading back and publishing included."""

    seconds: list[float] = []  # noqa: RUF012 - shared with the program, which made no instance
    sizes: list[int] = []  # noqa: RUF012

    def _save(self, trainer: Trainer, name: str) -> None:
        began = time.perf_counter()
        super()._save(trainer, name)
        self.seconds.append(time.perf_counter() - began)

    def _publish(self, trainer: Trainer) -> None:
        began, saved = time.perf_counter(), bool(self._pending)
        super()._publish(trainer)
        if saved:
            self.seconds[-1] += time.perf_counter() - began
            self.sizes.append((self.folder / "last.ckpt").stat().st_size)


class StepTimes(Callback):
    """Notes the seconds of every step without its callbacks."""

    seconds: list[float] = []  # noqa: RUF012

    def on_train_batch_start(self, *_: Any) -> None:
        self._began = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        self.seconds.append(time.perf_counter() - self._began)


class Memory(Callback):
    """Notes the resident memory of this process every ``every`` steps, in MiB."""

    every = 10
    mebibytes: list[tuple[int, float]] = []  # noqa: RUF012

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step % self.every == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            size = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
            self.mebibytes.append((trainer.global_step, size))


def run(overrides: list[str], folder: str) -> None:
    """Train as the command line does, in this process."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        overrides = [*overrides, f"paths.output_dir={folder}"]
        config = compose("train", overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    train(config)


def checkpoints(overrides: list[str]) -> dict[str, Any]:
    """Time savings and steps of the default model, or another, over 60 steps."""
    timed = "benchmarks.reliability"
    with tempfile.TemporaryDirectory(dir=".") as folder:
        run(
            [
                "trainer.max_steps=60", "~callbacks.image_quality", *overrides,
                f"callbacks.checkpoints._target_={timed}.TimedCheckpoints",
                "callbacks.checkpoints.every_n_steps=10",
                f"+callbacks.step_times={{_target_:{timed}.StepTimes}}",
            ],
            folder,
        )  # fmt: skip
    from benchmarks import reliability  # the classes that Hydra made, not those of __main__

    save = statistics.median(reliability.TimedCheckpoints.seconds)
    step = statistics.median(reliability.StepTimes.seconds[5:])
    return {
        "checkpoint": f"{max(reliability.TimedCheckpoints.sizes) / 1e6:.1f} MB",
        "seconds to save": f"{save:.3f}",
        "seconds a step": f"{step:.4f}",
        f"share of training at one in {CADENCE} steps": f"{save / (save + CADENCE * step):.2%}",
    }


def memory(overrides: list[str]) -> dict[str, Any]:
    """Follow the resident memory over 10,000 steps; the first tenth is warming up."""
    target = "benchmarks.reliability.Memory"
    with tempfile.TemporaryDirectory(dir=".") as folder:
        overrides = ["trainer.max_steps=10000", *overrides]
        run([*overrides, f"+callbacks.memory={{_target_:{target}}}"], folder)
    from benchmarks import reliability

    readings = reliability.Memory.mebibytes
    last = readings[-1][0]
    early = [size for step, size in readings if 0.1 * last < step <= 0.2 * last]
    late = [size for step, size in readings if step > 0.9 * last]
    settled = [size for step, size in readings if step > 0.1 * last]
    first, then = statistics.mean(early), statistics.mean(late)
    return {
        "steps": last,
        "MiB in the second tenth": f"{first:.1f}",
        "MiB in the last tenth": f"{then:.1f}",
        "change": f"{then / first - 1:+.2%}",
        "lowest to highest after the first tenth": f"{min(settled):.1f} to {max(settled):.1f}",
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("what", choices=["checkpoints", "memory"])
    parser.add_argument("overrides", nargs="*", help="key=value of the training configuration")
    options = parser.parse_args()
    found = {"checkpoints": checkpoints, "memory": memory}[options.what](options.overrides)
    versions = {"torch": torch.__version__, "lightning": lightning.__version__}
    found |= {"configuration": " ".join(options.overrides) or "default", **versions}
    console = Console()
    for name, value in found.items():
        console.print(f"{name:<42} {value}", highlight=False)
    path = Path("outputs/bench") / f"{options.what}-{time.strftime('%Y%m%dT%H%M%S')}.json"
    write_json(found, path)


if __name__ == "__main__":
    main()
