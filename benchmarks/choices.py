"""What each choice of the step is worth: the same steps with one choice undone, in turn."""

import argparse
import os
import tempfile
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.bare import BareLoop
from benchmarks.children import run_worker
from benchmarks.results import Spread, circumstances, today
from benchmarks.settings import Settings
from benchmarks.stopwatch import now

ADAM = ("generator", "discriminator")
CHOICES: dict[str, tuple[str, ...]] = {
    "as configured": (),
    "fp32 instead of bf16": ("trainer.precision=32-true",),
    "channels_last off": ("model.channels_last=false",),
    "Adam: foreach, not fused": tuple(f"model.optimizer_{p}.fused=false" for p in ADAM),
    "Adam: weight by weight": (
        *(f"model.optimizer_{p}.fused=false" for p in ADAM),
        *(f"+model.optimizer_{p}.foreach=false" for p in ADAM),
    ),
    "without average": ("+callbacks.ema.networks=[]",),
    "generator compiled": ("callbacks=[default,compile]",),
}
BLOCK = 4  # steps of one before the next one's


def measure(settings: Settings) -> dict[str, Any]:
    """Milliseconds a step of every choice: all loops live in one process and take turns."""
    loops = {}
    for name, overrides in CHOICES.items():
        loops[name] = BareLoop(settings.changed(overrides=(*settings.overrides, *overrides)))
    for loop in loops.values():
        for _ in range(2):
            loop.step()
    found: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(settings.rounds):
        for name, loop in loops.items():
            start = now(loop.device)
            for _ in range(BLOCK):
                loop.step()
            found[name].append(1000 * (now(loop.device) - start) / BLOCK)
    return {"milliseconds_per_step": found, "load_average": os.getloadavg()[0]}


def run(case: str, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="ganforge-bench-") as folder, console.status(case):
        settings = Settings(
            folder,
            batch_size=options.batch_size,
            rounds=options.rounds,
            overrides=tuple(options.overrides),
        )
        machine = run_worker("describe", settings)
        measured = run_worker("choices", settings)
    times = measured["milliseconds_per_step"]
    base = times["as configured"]
    table = Table(title=f"choices, DCGAN 64×64, batch {options.batch_size}", title_justify="left")
    table.add_column("step")
    for name in ("ms", "× as configured"):
        table.add_column(name, justify="right")
    ratios = {}
    for name, found in times.items():
        ratios[name] = Spread.of([a / b for a, b in zip(found, base, strict=True)])
        table.add_row(name, Spread.of(found).text(".0f"), ratios[name].text(".2f"))
    console.print(table)
    console.print(circumstances(machine), highlight=False)
    summary = {name: vars(ratio) for name, ratio in ratios.items()}
    return {"machine": machine, **measured, "summary": summary, "date": today()}
