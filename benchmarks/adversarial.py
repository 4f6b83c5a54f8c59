"""DCGAN and SNGAN: the tutorial's loop, ganforge's step by hand, and ``ganforge train``."""

import argparse
import tempfile
from dataclasses import asdict, replace
from typing import Any

from rich.console import Console

from benchmarks.children import run_round, run_worker
from benchmarks.results import Results
from benchmarks.settings import BLOCK, Settings

# The model, the side of its images, and what is chosen beside. One update of each player a step.
CASES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "dcgan32": ("dcgan", 32, ()),
    "dcgan64": ("dcgan", 64, ()),
    "dcgan128": ("dcgan", 128, ()),
    "sngan32": ("sngan", 32, ("model.n_critic=1", "schedule=constant")),
}
VARIANTS = ("reference", "bare", "ganforge")
PAIRS_A_ROUND = 2


def run(case: str, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measure one case and print its table."""
    model, size, choices = CASES[case]
    with tempfile.TemporaryDirectory(prefix="ganforge-bench-") as folder:
        settings = Settings(
            folder,
            model=model,
            size=size,
            batch_size=options.batch_size,
            steps=options.steps,
            overrides=(*choices, *options.overrides),
        )
        with console.status("writing the reference's images") as status:
            machine = run_worker("prepare", settings)
            title = f"{case}: {size}×{size}, batch {options.batch_size}"
            results = Results(title, machine, asdict(settings))
            for i in range(options.rounds):
                status.update(f"{case}: round {i + 1} of {options.rounds}")
                results.rounds.append(run_round(VARIANTS, settings))
            status.update("Lightning's share")
            pairs = replace(settings, steps=BLOCK * PAIRS_A_ROUND * options.rounds)
            results.overheads = run_worker("paired", pairs)["overheads"]
    results.show(console)
    return results.as_dict()
