"""One measurement in a process of its own: ``python -m benchmarks.worker TASK SETTINGS OUTPUT``."""

import json
import resource
import sys
from collections.abc import Callable
from typing import Any

import torch

from benchmarks import bare, lightning_run, machine, paired, reference
from benchmarks.settings import Settings, compose_training
from ganforge.commands.common import build
from ganforge.commands.devices import pick_precision
from ganforge.utils.files import write_json
from ganforge.utils.images import to_pil

MEASURES: dict[str, Callable[[Settings], float]] = {
    "reference": reference.measure,
    "ganforge": lightning_run.measure,
    "bare": bare.measure,
}


def peak_memory() -> int:
    """Most bytes of main memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def prepare(settings: Settings) -> dict[str, Any]:
    """Write the training images as files for the reference, and describe the machine."""
    config = compose_training(settings)
    data = build(config.data)
    data.setup()
    folder = settings.images / "all"
    folder.mkdir(parents=True)
    for i, image in enumerate(data.split("train").images):
        to_pil(image).save(folder / f"{i:06d}.png")
    precision = pick_precision(config.trainer.precision, config.trainer.accelerator)
    return {**machine.describe(settings), "precision": precision}


def measure(name: str, settings: Settings) -> dict[str, Any]:
    """Images a second and peak memory of one variant."""
    seconds = MEASURES[name](settings)
    result = {
        "images_per_second": settings.steps * settings.batch_size / seconds,
        "milliseconds_per_step": 1000 * seconds / settings.steps,
        "peak_memory": peak_memory(),
    }
    if torch.cuda.is_available():
        result["peak_device_memory"] = torch.cuda.max_memory_allocated()
    return result


def run(task: str, settings: Settings) -> dict[str, Any]:
    """Do ``prepare``, ``paired`` or the measurement of one variant."""
    if task == "prepare":
        return prepare(settings)
    if task == "paired":
        return {"overheads": paired.overheads(settings)}
    return measure(task, settings)


def main() -> None:
    """Run one task and write its result as JSON."""
    task, settings, output = sys.argv[1:]
    write_json(run(task, Settings(**json.loads(settings))), output)


if __name__ == "__main__":
    main()
