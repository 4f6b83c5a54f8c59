"""How time and memory of a step grow with image size, batch, data and width."""

import argparse
import os
import tempfile
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.children import run_worker
from benchmarks.noise import noise_overrides
from benchmarks.results import circumstances, today
from benchmarks.settings import Settings
from ganforge.utils.files import atomic_path

AXES: dict[str, tuple[int, ...]] = {
    "image side": (32, 64, 128),
    "batch": (8, 16, 32, 64, 128),
    "images in the set": (1_000, 4_000, 16_000, 64_000),
    "base channels": (16, 32, 64, 128),
}
CENTRE = {"image side": 32, "batch": 32, "images in the set": 1_000, "base channels": 32}
READINGS = {"milliseconds": "time of a step, ms", "peak_memory": "peak memory, MB"}


def settings_at(point: dict[str, int], folder: str, steps: int) -> Settings:
    """The training of one point: DCGAN over noise, everything else as at the centre."""
    width = point["base channels"]
    return Settings(
        folder,
        size=point["image side"],
        batch_size=point["batch"],
        warmup=2,
        steps=steps,
        overrides=(
            *noise_overrides(folder, point["images in the set"]),
            f"model.generator.width={width}",
            f"model.discriminator.width={width}",
        ),
    )


def exponent(x: list[float], y: list[float]) -> float:
    """Slope of the best straight line through the logarithms: y grows as x to that power."""
    return float(np.polyfit([log(v) for v in x], [log(v) for v in y], 1)[0])


def draw(curves: dict[str, dict[str, Any]], path: Path) -> None:
    """Write the figure: a column an axis, time above, memory below, both logarithmic."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(12, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(curves), sharey="row")
    for column, (axis, curve) in enumerate(curves.items()):
        for row, (reading, label) in enumerate(READINGS.items()):
            plot, x, y = axes[row][column], curve["at"], curve[reading]
            power = curve["exponents"][reading]
            middle = exp(sum(map(log, y)) / len(y)) / exp(power * sum(map(log, x)) / len(x))
            plot.loglog(x, y, "o", color="#1f6fb2")
            plot.loglog(x, [middle * v**power for v in x], color="#1f6fb2", alpha=0.5)
            plot.set_title(f"{axis}: exponent {power:.2f}", fontsize=10)
            plot.set_xticks(x, [f"{v:,}" for v in x])
            plot.minorticks_off()
            plot.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            plot.yaxis.set_major_formatter("{x:g}")
            plot.grid(alpha=0.3)
            if column == 0:
                plot.set_ylabel(label)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def run(case: str, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measure every axis through the centre, print the exponents, draw the figure."""
    repeats = options.rounds
    with tempfile.TemporaryDirectory(prefix="ganforge-bench-") as folder, console.status(case):
        machine = run_worker("describe", settings_at(CENTRE, folder, 1))
        idle = run_worker("memory", settings_at(CENTRE, folder, 1))["peak_memory"]
        curves = {}
        for axis, values in AXES.items():
            values = values[:2] if options.quick else values
            points = [{**CENTRE, axis: value} for value in values]
            curves[axis] = curve(points, axis, folder, options.steps, repeats, idle)
    table = Table(title="growth of a DCGAN's step", title_justify="left")
    table.add_column("with")
    for name in ("from", "to", "time: exponent", "memory: exponent"):
        table.add_column(name, justify="right")
    for axis, found in curves.items():
        powers = [f"{found['exponents'][reading]:.2f}" for reading in READINGS]
        table.add_row(axis, f"{found['at'][0]:,}", f"{found['at'][-1]:,}", *powers)
    console.print(table)
    console.print(circumstances(machine), highlight=False)
    date = today()
    figure = options.output / f"growth-{date.replace(':', '')}.png"
    draw(curves, figure)
    console.print(f"figure: {figure}", highlight=False)
    load = os.getloadavg()[0]
    facts = {"idle_memory": idle, "centre": CENTRE, "load_average": load, "date": date}
    return {"machine": machine, "curves": curves, **facts}


def curve(
    points: list[dict[str, int]], axis: str, folder: str, steps: int, repeats: int, idle: int
) -> dict[str, Any]:
    """Readings along one axis; time is the least of some turns, memory what training adds.

    One thread of a CPU is timed by what it computes, so that other programs do not count.
    """
    key = "computing_per_step" if torch.get_num_threads() == 1 else "milliseconds_per_step"
    found: dict[str, Any] = {"at": [point[axis] for point in points]}
    turns = []
    for point in points:
        settings = settings_at(point, folder, steps)
        turns.append([run_worker("bare", settings) for _ in range(repeats)])
    found["milliseconds"] = [min(turn[key] for turn in of) for of in turns]
    found["peak_memory"] = [
        max(max(turn["peak_memory"] for turn in of) - idle, 1) / 1e6 for of in turns
    ]
    found["exponents"] = {reading: exponent(found["at"], found[reading]) for reading in READINGS}
    return found
