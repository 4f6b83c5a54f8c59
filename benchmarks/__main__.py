"""``python -m benchmarks``: images a second of ganforge and of a plain training loop."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.results import LABELS, Results
from benchmarks.settings import BLOCK, Settings
from ganforge.utils.files import write_json

PAIRS_A_ROUND = 2


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of every loop (default 3)")
    parser.add_argument("--steps", type=int, default=20, help="timed steps a turn (default 20)")
    parser.add_argument("--size", type=int, default=64, help="side of the images (default 64)")
    parser.add_argument("--batch-size", type=int, default=64, help="images a step (default 64)")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run?")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="JSON's folder")
    parser.add_argument("overrides", nargs="*", help="key=value of the training configuration")
    options = parser.parse_args(arguments)
    if min(options.rounds, options.steps, options.batch_size) < 1:
        parser.error("--rounds, --steps and --batch-size must be at least 1")
    if options.quick:
        options.rounds, options.steps = 1, min(options.steps, 5)
    return options


def run_worker(task: str, settings: Settings) -> dict[str, Any]:
    """Run one task in a fresh process; this one stays small, so that peak memory is the child's."""
    folder = Path(settings.folder)
    output, log = folder / f"{task}.json", folder / f"{task}.log"
    command = [sys.executable, "-m", "benchmarks.worker", task]
    # Lets the progress bar draw as it does on a terminal: drawing costs time, too.
    environment = {**os.environ, "FORCE_COLOR": "1"}
    with log.open("w") as file:
        done = subprocess.run(
            [*command, json.dumps(asdict(settings)), str(output)],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            check=False,
        )
    if done.returncode:
        sys.exit(f"benchmarks: {task} failed\n{log.read_text()[-3000:]}")
    return json.loads(output.read_text())


def run_round(settings: Settings) -> dict[str, Any]:
    """Measure every variant once."""
    measured = {name: run_worker(name, settings) for name in LABELS}
    return {**measured, "load_average": os.getloadavg()[0]}


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    options = parse_arguments(arguments)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="ganforge-bench-") as folder:
        settings = Settings(
            folder,
            size=options.size,
            batch_size=options.batch_size,
            steps=options.steps,
            overrides=tuple(options.overrides),
        )
        with console.status("writing the reference's images") as status:
            results = Results(run_worker("prepare", settings), asdict(settings))
            for i in range(options.rounds):
                status.update(f"round {i + 1} of {options.rounds}")
                results.rounds.append(run_round(settings))
            status.update("Lightning's share")
            pairs = replace(settings, steps=BLOCK * PAIRS_A_ROUND * options.rounds)
            results.overheads = run_worker("paired", pairs)["overheads"]
    results.show(console)
    path = options.output / f"dcgan{options.size}-{results.date.replace(':', '')}.json"
    write_json(results.as_dict(), path)
    console.print(f"written: {path}", highlight=False)


if __name__ == "__main__":
    main()
