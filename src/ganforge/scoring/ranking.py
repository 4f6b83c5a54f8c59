"""Runs put in an order: scores read from their folders, seeds of one configuration joined."""

import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from ganforge.config.reading import read_plain
from ganforge.metrics.protocol import Measure, Score, refuse_unlike
from ganforge.report.tables import BETTER
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.files import read_small
from ganforge.utils.runs import Run, by_number
from ganforge.utils.terminal import command

LOGGED = ("latent_walk", "speed", "page")  # callbacks that only show: they change no weight
LARGEST = 64 << 20  # bytes of a file of scores
STAMP = re.compile(r"-\d{8}-\d{6}$")


@dataclass(frozen=True, eq=False)
class Scored:
    """A run and what it was scored: by ``ganforge evaluate``, newest first, then in training."""

    run: Run
    scores: dict[Measure, Score]
    name: str

    @cached_property
    def by_name(self) -> dict[str, Score]:
        """The first score of each name, whatever its protocol."""
        return {score.name: score for score in reversed(self.scores.values())}

    @property
    def names(self) -> list[str]:
        """Names of the scores, in order."""
        return list(dict.fromkeys(measure.name for measure in self.scores))

    @cached_property
    def config(self) -> dict[str, Any]:
        """What it was composed from, as plain values."""
        config = read_plain(self.run.config)
        if not isinstance(config.get("model"), dict):
            raise DamagedFileError(f"{self.run.config} is not the configuration of a training run")
        return config

    @property
    def seed(self) -> Any:
        """The seed that it was trained with."""
        return self.config.get("seed")

    @cached_property
    def recipe(self) -> str:
        """Hash of the configuration without what only names, places or seeds a run."""
        config = dict(self.config)
        for key in ("seed", "paths", "name", "hydra", "logger"):
            config.pop(key, None)
        callbacks = config.get("callbacks")
        if isinstance(callbacks, dict):
            config["callbacks"] = {k: v for k, v in callbacks.items() if k not in LOGGED}
        return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()

    @cached_property
    def swept(self) -> str | None:
        """What its sweep varied and it has, as typed, the seed left out; None of a single run."""
        return sweep_settings(self.run.folder.parent).get(self.run.folder.name)

    @cached_property
    def picture(self) -> Path | None:
        """The newest grid of samples."""
        return next(reversed(by_number(self.run.samples.glob("*.png"))), None)


@dataclass(frozen=True, eq=False)
class Entry:
    """Runs of one recipe, and one value of each: a row of a ranking."""

    runs: Sequence[Scored]
    scores: Sequence[Score]

    @property
    def untrained(self) -> bool:
        """Whether the best state of a run is the one before its first step."""
        return any(score.step == 0 for score in self.scores)

    @property
    def name(self) -> str:
        """The runs' common name without their times, or the first one's."""
        name = self.runs[0].name
        settings = {run.swept for run in self.runs}
        if len(settings) == 1 and (setting := settings.pop()) is not None:
            sweep = name.rpartition("/")[0]
            return ": ".join(filter(None, [sweep, setting])) or self.runs[0].run.folder.parent.name
        if len(self.runs) == 1:
            return name
        same = {STAMP.sub("", run.name) for run in self.runs}
        return same.pop() if len(same) == 1 else f"{name} and {len(self.runs) - 1} more"

    @property
    def picture(self) -> Path | None:
        """The samples of the first run that has some."""
        return next((run.picture for run in self.runs if run.picture), None)

    def by(self, measure: Measure) -> "Entry":
        """The same runs, by another score."""
        return Entry(self.runs, [run.scores[measure] for run in self.runs])

    @property
    def mean(self) -> float:
        """Mean over runs."""
        return math.fsum(score.value for score in self.scores) / len(self.scores)

    @property
    def std(self) -> float | None:
        """Standard deviation over runs (n - 1); None of one."""
        if len(self.scores) < 2:
            return None
        squares = math.fsum((score.value - self.mean) ** 2 for score in self.scores)
        return math.sqrt(squares / (len(self.scores) - 1))


@cache
def sweep_settings(folder: Path) -> Mapping[str, str]:
    """By the names of the jobs' folders, what each sets that not all jobs of the sweep set alike.

    A folder of no sweep, or one whose list cannot be read, has none.
    """
    try:
        jobs = json.loads(read_small(folder / "sweep.json", LARGEST))["jobs"]
        settings = {
            str(job["number"]): dict(word.lstrip("+~").split("=", 1) for word in job["overrides"])
            for job in jobs
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    keys = dict.fromkeys(key for each in settings.values() for key in each)
    varied = [
        key
        for key in keys
        if key != "seed"
        and not key.startswith("hydra.")
        and len({each.get(key) for each in settings.values()}) > 1
    ]
    return {
        number: " ".join(f"{key}={each[key]}" for key in varied if key in each)
        for number, each in settings.items()
    }  # fmt: skip


def cell(entry: Entry) -> str:
    """``mean ± std`` over runs; of a single run its value and interval."""
    if entry.std is not None:
        return f"{entry.mean:.4g} ± {entry.std:.2g}"
    interval = entry.scores[0].interval
    told = f" ({interval[0]:.4g}–{interval[1]:.4g})" if interval else ""
    return f"{entry.mean:.4g}{told}"


def read_scored(run: Run, base: Path, wanted: Mapping[str, Any] | None = None) -> Scored:
    """Scores of a run: evaluated ones, the newest first, then those of its best checkpoint.

    It is called by its path below ``base``: a sweep's jobs are all called 0, 1, 2.
    ``wanted`` maps fields of the protocol to the value that scores must have; None allows any.
    """
    files = sorted(run.folder.glob("evaluations/*.json"), key=lambda path: path.stat().st_mtime_ns)
    found = [score for path in reversed(files) for score in read_records(path)]
    if run.scores.is_file():
        found += _at_best(read_records(run.scores), _scored_checkpoint(run))
    if not found:
        evaluate = command("ganforge", "evaluate", f"run={run.folder}", "n=2000")
        raise UserError(f"{run.folder} was never scored: {evaluate}")
    for key, value in (wanted or {}).items():
        values = sorted({getattr(score.protocol, key) for score in found})
        found = [s for s in found if value is None or getattr(s.protocol, key) == value]
        if not found:
            raise UserError(f"{run.folder} has no score of {key}={value}, but of {values}")
    scores: dict[Measure, Score] = {}
    for score in found:
        scores.setdefault(score.measure, score)
    name = Path(os.path.relpath(run.folder, base)).as_posix()
    return Scored(run, scores, run.folder.name if name == "." else name)


def read_records(path: Path) -> list[Score]:
    """The scores of a JSON file, or a DamagedFileError."""
    try:
        return [Score.from_dict(record) for record in json.loads(read_small(path, LARGEST))]
    except (
        OSError, ValueError, TypeError, AttributeError, RecursionError, DamagedFileError,
    ) as error:  # fmt: skip
        raise DamagedFileError(
            f"{path} cannot be read as scores ({error}): remove it, and evaluate again"
        ) from error


def _scored_checkpoint(run: Run) -> str:
    """Name of the checkpoint that the scores of training are of."""
    best, last = (run.checkpoints / f"{name}.ckpt" for name in ("best", "last"))
    return "last" if last.is_file() and not best.is_file() else "best"


def _at_best(history: Sequence[Score], checkpoint: str) -> list[Score]:
    """Of scores taken during training, those of the step whose checkpoint is the best.

    ``checkpoint`` is its name: a run that was scored at its end alone has a last one only.
    """
    if not history:
        return []
    monitored = [s for s in history if s.name == history[0].name and math.isfinite(s.value)]
    best = min(monitored, key=lambda score: score.value, default=history[-1])
    return [
        replace(score, protocol=replace(score.protocol, checkpoint=checkpoint))
        for score in history
        if score.step == best.step
    ]


def rank(runs: Sequence[Scored], measure: Measure) -> list[Entry]:
    """Rows from the best to the worst by one score; what never learned comes last."""
    recipes: dict[str, list[Scored]] = {}
    for run in runs:
        recipes.setdefault(run.recipe, []).append(run)
    entries = [Entry(same, [run.scores[measure] for run in same]) for same in recipes.values()]
    metric = runs[0].scores[measure].metric
    return sorted(entries, key=lambda entry: (entry.untrained, goodness(metric, entry.mean)))


def goodness(metric: str, value: float) -> float:
    """A number that is smaller for better values; not finite is worst."""
    if not math.isfinite(value):
        return math.inf
    sense = BETTER.get(metric, "↓")
    return {"↑": -value, "½": abs(value - 0.5)}.get(sense, value)


def common_measure(runs: Sequence[Scored], metric: str | None) -> Measure:
    """What to rank by: the first score that all runs have by one protocol; else a UserError.

    ``metric`` is a metric or the full name of a score; None: the first metric that all have.
    """
    first, *others = runs
    shared = [name for name in first.names if all(name in run.by_name for run in others)]
    wanted = [n for n in shared if metric in (None, n, first.by_name[n].metric)]
    if not wanted:
        told = "; ".join(f"{run.name}: {', '.join(run.names)}" for run in runs)
        raise UserError(
            f"these runs have no {metric or 'score'} in common ({told}): evaluate them alike, "
            "ganforge evaluate run=... n=2000"
        )
    names = [n for n in wanted if first.by_name[n].metric == first.by_name[wanted[0]].metric]
    for measure in first.scores:
        if measure.name in names and all(measure in run.scores for run in others):
            return measure
    for pair in combinations(runs, 2):
        _refuse_unlike(*pair, names)
    raise UserError(f"no protocol of {names[0]} is common to all of these runs: evaluate alike")


def _refuse_unlike(one: Scored, other: Scored, names: Sequence[str]) -> None:
    """Raise a UserError unless two runs share a protocol, about those most alike."""
    pairs = [
        [replace(score, run=run.name) for run, score in ((one, a), (other, b))]
        for a in one.scores.values()
        for b in other.scores.values()
        if a.name == b.name and a.name in names
    ]
    refuse_unlike(min(pairs, key=lambda pair: len(pair[0].protocol.differences(pair[1].protocol))))


def boards(runs: Sequence[Scored], metric: str | None) -> list[tuple[Measure, list[Scored]]]:
    """Groups of runs that may be compared, each with the score that ranks it.

    Every run is in one at least: the protocol that most of those left have makes the next group.
    """
    wanted = {run: _measures(run, metric) for run in runs}
    groups: list[tuple[Measure, list[Scored]]] = []
    left = list(runs)
    while left:
        counts = Counter(measure for run in left for measure in wanted[run])
        measure = max(counts, key=counts.__getitem__)
        groups.append((measure, [run for run in runs if measure in wanted[run]]))
        left = [run for run in left if measure not in wanted[run]]
    return groups


def _measures(run: Scored, metric: str | None) -> list[Measure]:
    """What a run may be ranked by: all protocols of the wanted metric."""
    wanted = metric or run.scores[common_measure([run], None)].metric
    return [m for m, score in run.scores.items() if wanted in (m.name, score.metric)]
