"""Trainings from Python: the command's own path, in a process of its own."""

import json
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganforge.config.compose import composed
from ganforge.utils.errors import UserError
from ganforge.utils.runs import Run, find_run

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ganforge.api.models import TrainedGenerator, TrainedTranslator
    from ganforge.metrics.protocol import Score


def compose(*words: str, command: str = "train", **settings: Any) -> "DictConfig":
    """The configuration of a command, as ``ganforge COMMAND word word`` composes it."""
    return composed([*words, *_words(settings)], command)


def _words(settings: dict[str, Any]) -> list[str]:
    """Settings as words of the command line; JSON is what Hydra reads values from."""
    return [f"{key}={json.dumps(value, default=str)}" for key, value in settings.items()]


@dataclass(frozen=True)
class TrainedRun:
    """The folder of a finished training, and what can be read in it."""

    folder: Path

    def model(
        self, checkpoint: str = "best", device: str = "auto"
    ) -> "TrainedGenerator | TrainedTranslator":
        """What was trained, as ``ganforge.load`` returns it."""
        from ganforge.api.models import load

        return load(self.folder, checkpoint, device, trusted=True)

    @property
    def scores(self) -> "list[Score]":
        """Every score of the training, in the order of its steps."""
        from ganforge.scoring.ranking import read_records

        path = Run(self.folder).scores
        return read_records(path) if path.is_file() else []

    def metrics(self) -> Any:
        """Every record of the log: a DataFrame where pandas is installed, else a list of dicts."""
        path = Run(self.folder).metrics
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        records = [json.loads(line) for line in lines]
        try:
            import pandas as pd
        except ImportError:
            return records
        return pd.DataFrame(records)


def train(*words: str, **settings: Any) -> TrainedRun:
    """Run ``ganforge train word word key=value`` and print its lines; returns the finished run.

    It runs in a process of its own, as on the command line: several devices, restarts and a full
    memory end there. A UserError has the last line of a training that failed.
    """
    words = (*words, *_words(settings))
    if {"-m", "--multirun"} & {*words}:
        raise UserError(
            "a sweep is many runs: start it with ganforge train -m, or call train often"
        )
    named = next((w.partition("=")[2] for w in words if w.startswith("hydra.run.dir=")), None)
    resumed = any(word.startswith("resume=") for word in words)
    folder = Path(named) if named else _new_folder(words)
    place = [] if named or resumed else [f"hydra.run.dir={json.dumps(str(folder))}"]
    command = [sys.executable, "-P", "-m", "ganforge", "train", *words, *place]
    last: deque[str] = deque(maxlen=1)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            last.extend([line.strip()] if line.strip() else [])
    if process.returncode:
        raise UserError("".join(last).removeprefix("ganforge: ") or "the training failed")
    return TrainedRun(find_run(folder.parent / "latest" if resumed else folder).folder)


def _new_folder(words: tuple[str, ...]) -> Path:
    """Where the command would put the run; a number keeps two of one second apart."""
    chosen = dict(word.split("=", 1) for word in words if "=" in word)
    named = [chosen[group] for group in ("name", "experiment", "model", "data") if group in chosen]
    name = "-".join(named or ["training"]).replace("/", "-").strip('"')
    outputs = chosen.get("paths.outputs", "outputs")
    start = Path(outputs, f"{name}-{datetime.now():%Y%m%d-%H%M%S}")
    tries = (start.with_name(f"{start.name}-{n}") for n in range(2, 10_000))
    return next(path for path in (start, *tries) if not path.exists()).absolute()
