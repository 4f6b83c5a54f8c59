"""Runs put in an order: scores read from their folders, seeds of one configuration joined."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ganforge.commands.common import read_config
from ganforge.commands.report import BETTER
from ganforge.metrics.protocol import Score, refuse_unlike
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.runs import Run

STAMP = re.compile(r"-\d{8}-\d{6}$")


@dataclass(frozen=True, eq=False)
class Scored:
    """A run and what it was scored: by ``ganforge evaluate``, else while it trained."""

    run: Run
    scores: dict[str, Score]

    @cached_property
    def recipe(self) -> str:
        """Hash of the configuration without what only names, places or seeds a run."""
        config: Any = OmegaConf.to_container(read_config(self.run), resolve=False)
        for key in ("seed", "paths", "name", "hydra", "logger"):
            config.pop(key, None)
        return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()

    @property
    def picture(self) -> Path | None:
        """The newest grid of samples."""
        return max(self.run.samples.glob("*.png"), default=None)


@dataclass(frozen=True, eq=False)
class Entry:
    """Runs of one recipe, and one value of each: a row of a ranking."""

    runs: Sequence[Scored]
    scores: Sequence[Score]

    @property
    def name(self) -> str:
        """The runs' common name without their times, or the first one's."""
        name = self.runs[0].run.folder.name
        if len(self.runs) == 1:
            return name
        same = {STAMP.sub("", run.run.folder.name) for run in self.runs}
        return same.pop() if len(same) == 1 else f"{name} and {len(self.runs) - 1} more"

    def by(self, name: str) -> "Entry":
        """The same runs, by another score."""
        return Entry(self.runs, [run.scores[name] for run in self.runs])

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


def read_scored(run: Run) -> Scored:
    """Scores of a run by name: evaluated ones first, then those of its best checkpoint."""
    files = sorted(run.folder.glob("evaluations/*.json"), key=lambda path: path.stat().st_mtime)
    scores = {s.name: s for path in files for s in _read(path) if s.run in (None, run.folder.name)}
    if run.scores.is_file():
        scores = {**_at_best(_read(run.scores)), **scores}
    if not scores:
        raise UserError(f"{run.folder} was never scored: ganforge evaluate run={run.folder} n=2000")
    return Scored(run, scores)


def _read(path: Path) -> list[Score]:
    try:
        return [Score.from_dict(record) for record in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError) as error:
        raise DamagedFileError(f"{path} cannot be read as scores ({error}): evaluate again") from (
            error
        )


def _at_best(history: Sequence[Score]) -> dict[str, Score]:
    """Of scores taken during training, those of the step whose checkpoint is the best."""
    if not history:
        return {}
    monitored = [s for s in history if s.metric == history[0].metric and math.isfinite(s.value)]
    best = min(monitored, key=lambda score: score.value, default=history[-1])
    return {score.name: score for score in history if score.step == best.step}


def rank(runs: Sequence[Scored], name: str) -> list[Entry]:
    """Rows from the best to the worst by one score; a UserError for unlike protocols."""
    refuse_unlike(run.scores[name] for run in runs)
    recipes: dict[str, list[Scored]] = {}
    for run in runs:
        recipes.setdefault(run.recipe, []).append(run)
    entries = [Entry(same, [run.scores[name] for run in same]) for same in recipes.values()]
    metric = runs[0].scores[name].metric
    return sorted(entries, key=lambda entry: goodness(metric, entry.mean))


def goodness(metric: str, value: float) -> float:
    """A number that is smaller for better values; not finite is worst."""
    if not math.isfinite(value):
        return math.inf
    sense = BETTER.get(metric, "↓")
    return {"↑": -value, "½": abs(value - 0.5)}.get(sense, value)


def common_score(runs: Sequence[Scored], metric: str | None) -> str:
    """Name of the score to rank by: the first that all runs have; else a UserError."""
    for name, score in runs[0].scores.items():
        wanted = metric in (None, score.metric, name)
        if wanted and all(name in run.scores for run in runs):
            return name
    told = "; ".join(f"{run.run.folder.name}: {', '.join(run.scores)}" for run in runs)
    raise UserError(
        f"these runs have no {metric or 'score'} in common ({told}): evaluate them alike, "
        "ganforge evaluate run=... n=2000"
    )


def boards(runs: Iterable[Scored], metric: str | None) -> list[tuple[str, list[Scored]]]:
    """Groups of runs that may be compared, each with the score that ranks it."""
    groups: list[tuple[str, list[Scored]]] = []
    for run in runs:
        name = common_score([run], metric)
        fits = (group for group in groups if _fits(run, *group))
        group = next(fits, None)
        if group is not None and run.scores[group[0]].metric == run.scores[name].metric:
            group[1].append(run)
        else:
            groups.append((name, [run]))
    return groups


def _fits(run: Scored, name: str, members: Sequence[Scored]) -> bool:
    """Whether a run has the score of a group, measured in the same way."""
    score, first = run.scores.get(name), members[0].scores[name]
    return score is not None and not first.protocol.differences(score.protocol)
