"""Modes covered and share of good samples on the two toy mixtures, for every loss.

    python -m benchmarks.toys_table seeds=0

Every loss plays the same game: the recipe of ``experiment=ring2d`` and ``experiment=grid2d`` with
another loss and fewer steps. A run that is finished is skipped; ``report`` trains nothing.
"""

import json
import statistics
import sys
from pathlib import Path

from benchmarks.runs import Result, arguments_of, finished, run_once

STEPS = 4000
MODES = {"ring2d": 8, "grid2d": 25}
LOSSES = [
    "minimax", "non_saturating", "smoothed", "least_squares", "hinge", "wasserstein",
    "relativistic", "relativistic_average",
]  # fmt: skip


def run(folder: Path, data: str, loss: str, seed: int, steps: int) -> None:
    """Train one loss on one mixture with one seed unless that is done."""
    overrides = [
        f"experiment={data}", f"loss={loss}", f"seed={seed}", "logger=[]",
        f"trainer.max_steps={steps}", f"callbacks.theory.every_n_steps={steps}",
        f"callbacks.checkpoints.every_n_steps={steps}",
    ]  # fmt: skip
    result = run_once(folder / data / loss / f"seed{seed}", overrides, read)
    print(data, loss, seed, json.dumps(result), flush=True)


def read(folder: Path) -> Result:
    """The last theory readings of a run."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = [record for record in records if "theory/modes_covered" in record][-1]
    return {"covered": last["theory/modes_covered"], "good": last["theory/good_share"]}


def report(folder: Path, losses: list[str], seeds: list[int]) -> str:
    """The Markdown table of what is finished."""
    heads = [f"{data} modes of {count} | {data} within 3σ" for data, count in MODES.items()]
    lines = [f"| loss | {' | '.join(heads)} |", "|---|---|---|---|---|"]
    for loss in losses:
        cells = []
        for data in MODES:
            found = finished(folder / data / loss, seeds)
            covered = ", ".join(f"{one['covered']:.0f}" for one in found)
            good = f"{statistics.mean(one['good'] for one in found):.0%}" if found else ""
            cells += [covered, good]
        lines.append(f"| {loss} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(given: list[str]) -> None:
    named, losses, seeds = arguments_of(given, LOSSES)
    folder = Path(named.get("output", "outputs/toys")).resolve()
    if "report" not in given:
        for seed in seeds:
            for loss in losses:
                for data in MODES:
                    run(folder, data, loss, seed, int(named.get("steps", STEPS)))
    print(report(folder, losses, seeds))


if __name__ == "__main__":
    main(sys.argv[1:])
