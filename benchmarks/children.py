"""Tasks in processes of their own, so that peak memory is each one's own."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.settings import Settings


def run_worker(task: str, settings: Settings) -> dict[str, Any]:
    """Run one task in a fresh process; this one stays small."""
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


def run_round(variants: tuple[str, ...], settings: Settings, prefix: str = "") -> dict[str, Any]:
    """Measure every variant once, and the device's peak again."""
    measured = {name: run_worker(f"{prefix}{name}", settings) for name in variants}
    peak = run_worker("peak", settings)
    return {**measured, "peak": peak, "load_average": os.getloadavg()[0]}
