"""Start-up: how long a user waits before a command begins its work."""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.children import run_worker
from benchmarks.results import Spread, circumstances, today
from benchmarks.settings import Settings

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "ganforge --help": ["-m", "ganforge", "--help"],
    "ganforge train --cfg job": ["-m", "ganforge", "train", "--cfg", "job"],
}


def waited(arguments: list[str]) -> tuple[float, float]:
    """Seconds on the clock, and seconds of computing, which other programs do not lengthen."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    wall, after = perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, sum(after[:2]) - sum(before[:2])


def run(case: str, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Start every command in turn, once without counting."""
    with tempfile.TemporaryDirectory() as folder, console.status(case):
        machine = run_worker("describe", Settings(folder))
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
        for turn in range(2 * options.rounds + 1):
            for name, arguments in COMMANDS.items():
                found = waited(arguments)
                if turn:
                    seconds[name].append(found)
    table = Table(title="start-up", title_justify="left")
    table.add_column("command")
    for name in ("seconds", "of computing"):
        table.add_column(name, justify="right")
    for name, found in seconds.items():
        wall, computing = (Spread.of(list(values)) for values in zip(*found, strict=True))
        table.add_row(name, wall.text(".2f"), computing.text(".2f"))
    console.print(table)
    console.print(circumstances(machine), highlight=False)
    load = os.getloadavg()[0]
    return {"machine": machine, "seconds": seconds, "load_average": load, "date": today()}
