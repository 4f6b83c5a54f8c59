"""Does Optuna's TPE, with and without pruning, find more than random search in as many steps?

``python -m benchmarks.sweepers [override ...]`` runs ``sweep=optuna_gaussian1d`` for each of
``--repeats`` seeds and each search, and writes ``sweepers.json``. A search may spend ``--trials``
times the steps of a whole trial: with pruning, which ends trials early, it begins more of them.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy import stats

from ganforge.utils.files import write_json

SEARCHES = {
    "tpe": [],
    "tpe, pruned": ["hydra/sweeper/pruner=median"],
    "random": ["hydra/sweeper/sampler=random"],
}


def search(folder: Path, seed: int, trials: int, overrides: list[str]) -> list[float]:
    """The values of one search's jobs, in order, as far as its steps reach."""
    words = ["sweep=optuna_gaussian1d", f"hydra.sweep.dir={folder}", "logger=[]", f"seed={seed}"]
    program, values, more = [sys.executable, "-m", "ganforge", "train"], [], trials
    begun = 0
    while more > 0:  # of pruned trials more begin, until as many steps are spent
        begun += more
        budget = f"hydra.sweeper.n_trials={begun}"
        subprocess.run(
            [*program, *words, *overrides, budget], check=True, stdout=subprocess.DEVNULL
        )
        words, overrides = [f"resume_sweep={folder}"], []
        jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
        whole, spent, values = max(job["step"] or 0 for job in jobs), 0, []
        for job in jobs:
            spent += job["step"] or whole
            if spent <= trials * whole and job["value"] is not None:
                values.append(job["value"])
        more = trials - math.ceil(spent / whole)
    return values


def main(repeats: int, trials: int, folder: Path, overrides: list[str]) -> None:
    """Run all searches and print the best value of each."""
    values: dict[str, list[list[float]]] = {name: [] for name in SEARCHES}
    for seed in range(1, repeats + 1):
        for name, extra in SEARCHES.items():
            place = folder / f"{name.replace(', ', '-')}{seed}"
            found = search(place, seed, trials, [*extra, *overrides])
            values[name].append(found)
            print(f"RESULT seed {seed} {name}: best of {len(found)} {min(found):.4f}", flush=True)
    write_json(values, folder / "sweepers.json")
    best = {name: np.array([min(run) for run in runs]) for name, runs in values.items()}
    for name, found in best.items():
        line = f"RESULT {name}: {found.mean():.4f}, seed by seed {np.round(found, 4).tolist()}"
        if name != "random" and repeats > 1:
            gain = best["random"] - found
            half = stats.t.ppf(0.975, repeats - 1) * stats.sem(gain)
            line += f"; below random by {gain.mean():.4f} ± {half:.4f} (95 %, paired by seed)"
        print(line)


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweepers", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--repeats", type=int, default=5, help="seeds of each search (5)")
    parser.add_argument("--trials", type=int, default=20, help="whole trials of a search (20)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(f"outputs/sweepers-{time.strftime('%Y%m%d-%H%M%S')}"),
        help="where the studies are kept: a new one",
    )
    parser.add_argument("overrides", nargs="*", help="such as trainer.max_steps=150")
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    main(asked.repeats, asked.trials, asked.folder.absolute(), asked.overrides)
