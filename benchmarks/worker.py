"""One measurement in a process of its own: ``python -m benchmarks.worker TASK SETTINGS OUTPUT``."""

import json
import resource
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks import (
    bare,
    choices,
    cyclegan,
    features,
    lightning_run,
    loading,
    machine,
    paired,
    reference,
)
from benchmarks.settings import Settings, compose_training, pick_device
from benchmarks.stopwatch import Stopwatch
from ganforge.config.build import build
from ganforge.utils.files import write_json
from ganforge.utils.images import to_pil

MEASURES: dict[str, Callable[[Settings], Stopwatch]] = {
    "reference": reference.measure,
    "ganforge": lightning_run.measure,
    "bare": bare.measure,
}


def peak_memory() -> int:
    """Most bytes of main memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def write_images(settings: Settings) -> None:
    """Write the training images as files for the reference."""
    data = build(compose_training(settings).data)
    data.setup()
    folder = settings.images / "all"
    folder.mkdir(parents=True)
    for i, image in enumerate(data.split("train").images):
        to_pil(image).save(folder / f"{i:06d}.png")


def prepare(settings: Settings) -> dict[str, Any]:
    """Images for the reference, the machine, and what the loops compute."""
    write_images(settings)
    flops = {"reference": reference.step_flops, "ganforge": bare.step_flops}
    counted = {name: count(settings) / settings.batch_size for name, count in flops.items()}
    return {**machine.describe(settings), "flops_per_image": counted}


def prepare_cyclegan(settings: Settings) -> dict[str, Any]:
    """The machine, and what the loops compute."""
    return {**machine.describe(settings), "flops_per_image": cyclegan.step_flops(settings)}


def measure(name: str, settings: Settings) -> dict[str, Any]:
    """Images a second and peak memory of one variant."""
    watch = MEASURES[name](settings)
    return {
        "images_per_second": settings.steps * settings.batch_size / watch.seconds,
        "milliseconds_per_step": 1000 * watch.seconds / settings.steps,
        "computing_per_step": 1000 * watch.computing / settings.steps,
        **memory(),
    }


def memory() -> dict[str, int]:
    """Peaks of main memory and of the accelerator's."""
    peaks = {"peak_memory": peak_memory()}
    if torch.cuda.is_available():
        peaks["peak_device_memory"] = torch.cuda.max_memory_allocated()
    return peaks


def measure_cyclegan(name: str, settings: Settings) -> dict[str, Any]:
    """The same of CycleGAN's loops."""
    return {**cyclegan.measure(name, settings), **memory()}


TASKS: dict[str, Callable[[Settings], dict[str, Any]]] = {
    "prepare": prepare,
    "describe": machine.describe,
    "peak": lambda s: machine.peak(pick_device(compose_training(s).trainer.accelerator)),
    "paired": lambda s: {"overheads": paired.overheads(s)},
    **{name: partial(measure, name) for name in MEASURES},
    "cyclegan-prepare": prepare_cyclegan,
    **{f"cyclegan-{name}": partial(measure_cyclegan, name) for name in cyclegan.VARIANTS},
    "choices": choices.measure,
    "features": features.measure,
    "loading": loading.measure,
    "memory": lambda _: memory(),  # what the imports take
    "images": lambda s: write_images(s) or {},
}


def main() -> None:
    """Run one task and write its result as JSON."""
    task, settings, output = sys.argv[1:]
    write_json(TASKS[task](Settings(**json.loads(settings))), output)


if __name__ == "__main__":
    main()
