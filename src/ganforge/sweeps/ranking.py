"""A sweep's configurations in order: mean and spread of the objective over seeds."""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganforge.sweeps.manifest import Job

SEED = "seed"


@dataclass(frozen=True)
class Place:
    """One configuration: what it sets, and its jobs, which differ in their seeds alone."""

    settings: tuple[str, ...]
    jobs: tuple[Job, ...]

    @property
    def values(self) -> list[float]:
        """The objective of each job that has one."""
        return [job.record.value for job in self.jobs if job.record.value is not None]

    @property
    def mean(self) -> float:
        """Infinite where no job has a value: such a place comes last."""
        return statistics.fmean(self.values) if self.values else math.inf

    @property
    def spread(self) -> float | None:
        """Standard deviation of the values (n - 1 in the denominator); None of fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def best(self) -> Job | None:
        """The job with the least value."""
        scored = (job for job in self.jobs if job.record.value is not None)
        return min(scored, key=lambda job: job.record.value or 0.0, default=None)


def varied(jobs: Iterable[Job]) -> list[str]:
    """The keys that not all jobs set alike, in the order of the command line, without the seed."""
    settings = [job.settings for job in jobs]
    keys = dict.fromkeys(key for each in settings for key in each)
    return [key for key in keys if key != SEED and len({each.get(key) for each in settings}) > 1]


def rank(jobs: Sequence[Job], keys: Sequence[str]) -> list[Place]:
    """One place for each combination of ``keys``, the least mean first."""
    places: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        places.setdefault(_setting(job, keys), []).append(job)
    ranked = [Place(setting, tuple(members)) for setting, members in places.items()]
    return sorted(ranked, key=lambda place: place.mean)


def short_names(keys: Sequence[str]) -> list[str]:
    """Each key's last part, with as many parts before it as tell it from the others."""
    parts = [key.split(".") for key in keys]
    short = []
    for path in parts:
        length = next(
            n
            for n in range(1, len(path) + 1)
            if n == len(path) or sum(other[-n:] == path[-n:] for other in parts) == 1
        )
        short.append(".".join(path[-length:]))
    return short


@dataclass(frozen=True)
class Board:
    """Jobs whose values may be ranked together: one objective, measured by one protocol."""

    objective: str
    protocol: Mapping[str, Any]
    jobs: tuple[Job, ...]

    def differences(self, other: "Board") -> list[str]:
        """Fields of the protocol that forbid a comparison."""
        names = {**self.protocol, **other.protocol}
        return [name for name in names if self.protocol.get(name) != other.protocol.get(name)]


def boards(jobs: Sequence[Job], keys: Sequence[str]) -> list[Board]:
    """The jobs by what they may be compared with, in the order of the first job of each.

    A job that was not measured is with those of its configuration, or with the only ones there are.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        if job.record.objective is not None:
            measure = json.dumps([job.record.objective, job.record.protocol], sort_keys=True)
            groups.setdefault(measure, []).append(job)
    found = list(groups.values())
    if not found:
        return [Board("score", {}, tuple(jobs))]
    homes = {_setting(job, keys): group for group in found for job in group}
    for job in jobs:
        if job.record.objective is None:
            home = homes.get(_setting(job, keys), found[0] if len(found) == 1 else None)
            if home is not None:
                home.append(job)
    records = [group[0].record for group in found]
    return [
        Board(record.objective or "", record.protocol or {}, tuple(group))
        for record, group in zip(records, found, strict=True)
    ]


def _setting(job: Job, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(job.settings.get(key, "") for key in keys)
