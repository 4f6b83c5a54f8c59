"""A score is a number together with how it was measured; unlike measurements are not compared."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple, Self

from ganforge.utils.errors import DamagedFileError, UserError

Settings = tuple[tuple[str, int | float | str], ...]
DRAW = {"draw": True}
# Details that say what others score in generated images' place.
REAL, NOISE = "real_images", "uniform_noise"


def short_count(count: int) -> str:
    """Write 50000 as ``50k`` and 500 as ``500``, the way papers name ``fid50k``."""
    return f"{count // 1000}k" if count and count % 1000 == 0 else str(count)


@dataclass(frozen=True)
class Protocol:
    """How a score was measured: every field that moves the number.

    ``seed`` chose the noise and ``real_seed`` the real images. They are told, but scores that
    differ in a draw alone may be compared: results are means over seeds. ``settings``
    are the metric's own parameters. ``ema`` is None where no trained model made the images,
    ``checkpoint`` says which of a run's did (best, last), ``direction`` which way it translated.
    ``tied``: image i of both sides is of the same person or scene, so that they differ by less.
    """

    extractor: str
    sha256: str
    resize: str
    n_fake: int
    ema: bool | None
    n_real: int = 0
    split: str = ""
    data_hash: str = ""
    settings: Settings = ()
    checkpoint: str = ""
    direction: str = ""
    tied: bool = False
    seed: int = field(default=0, metadata=DRAW)
    real_seed: int = field(default=0, metadata=DRAW)

    @classmethod
    def of_pixels(cls, count: int, **facts: Any) -> Self:
        """Of ``count`` images compared with as many others pixel by pixel, without features."""
        return cls("pixels", "", "none", count, n_real=count, **facts)

    def differences(self, other: "Protocol") -> dict[str, tuple[Any, Any]]:
        """Map each field that forbids a comparison to its two values."""
        compared = (f.name for f in fields(self) if "draw" not in f.metadata)
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in compared}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def without_draws(self) -> Self:
        """The same without what only tells of draws: equal ones may be ranked together."""
        draws = {f.name: f.default for f in fields(self) if "draw" in f.metadata}
        return replace(self, **draws)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {**asdict(self), "settings": dict(self.settings)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote."""
        return cls(**{**data, "settings": tuple(data["settings"].items())})


class Measure(NamedTuple):
    """What scores must have in common to be ranked: a name, and a protocol without draws."""

    name: str
    protocol: Protocol


@dataclass(frozen=True)
class Score:
    """One value of one metric with its protocol and where it comes from.

    ``std`` is the spread that the metric itself reports (splits, subsets), ``interval`` the 95 %
    confidence interval over generated images, ``notes`` are warnings that belong to the number,
    ``libraries`` the versions it was computed with, ``details`` its parts by name.
    """

    metric: str
    value: float
    protocol: Protocol
    std: float | None = None
    step: int | None = None
    run: str | None = None
    notes: tuple[str, ...] = ()
    libraries: tuple[tuple[str, str], ...] = ()
    interval: tuple[float, float] | None = None
    details: tuple[tuple[str, float], ...] = ()

    @property
    def name(self) -> str:
        """Name by protocol, such as ``fid2k_train``, or ``fid500_test_a_to_b`` of a translator.

        A metric without real images has no split. ``fid_tied500_test_a_to_b`` has the translated
        people themselves on the real side.
        """
        metric = f"{self.metric}_tied" if self.protocol.tied else self.metric
        parts = (
            metric + short_count(self.protocol.n_fake),
            self.protocol.split,
            self.protocol.direction,
        )
        return "_".join(part for part in parts if part)

    @property
    def measure(self) -> Measure:
        """What another score must equal to be ranked with this one."""
        return Measure(self.name, self.protocol.without_draws())

    def of_run(self, run: str) -> "Score":
        """Return the same score, said to come from ``run``."""
        return replace(self, run=run)

    def to_dict(self) -> dict[str, Any]:
        """Return a self-describing record for JSON."""
        record = {"name": self.name, **{f.name: getattr(self, f.name) for f in fields(self)}}
        return {
            **record,
            "protocol": self.protocol.to_dict(),
            "notes": list(self.notes),
            "libraries": dict(self.libraries),
            "details": dict(self.details),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote; a record with missing or unknown parts is damaged."""
        try:
            record = {key: value for key, value in data.items() if key != "name"}
            if record["value"] is None:  # JSON has no NaN
                record["value"] = math.nan
            record["protocol"] = Protocol.from_dict(record["protocol"])
            record["notes"] = tuple(record["notes"])
            record["libraries"] = tuple(record["libraries"].items())
            record["details"] = tuple(record.get("details", {}).items())
            record["interval"] = tuple(record["interval"]) if record.get("interval") else None
            hash(record["protocol"])  # rankings look protocols up
            score = cls(**record)
            numbers = [score.value, score.std, score.step, *(score.interval or ())]
            if not all(n is None or type(n) in (int, float) for n in numbers):
                raise TypeError("a value is no number")
            if not isinstance(score.metric, str):
                raise TypeError("a metric has no name")
            return score
        except (KeyError, TypeError, AttributeError) as error:
            raise DamagedFileError(
                f"A score record is not one that ganforge wrote ({error!r}): evaluate again."
            ) from error


def refuse_unlike(scores: Iterable[Score]) -> None:
    """Raise a UserError that names the differing fields unless all scores may be compared."""
    first, *others = list(scores)
    for other in others:
        if other.metric != first.metric:
            raise UserError(
                f"{first.name} and {other.name} are different metrics: compare like ones."
            )
        differences = first.protocol.differences(other.protocol)
        if differences:
            raise UserError(
                f"{first.name} of {first.run or 'one run'} and of {other.run or 'another'} were "
                f"measured by different protocols ({describe_differences(differences)}): "
                "evaluate both in the same way before comparing them."
            )


def describe_differences(differences: Mapping[str, tuple[Any, Any]]) -> str:
    """Differences in words; of a hash its beginning."""
    return "; ".join(
        f"{name}: {_pair(*map(dict, pair)) if name == 'settings' else _against(*pair)}"
        for name, pair in differences.items()
    )


def _pair(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Those settings that differ."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return ", ".join(f"{name} {_against(one.get(name), other.get(name))}" for name in names)


def _against(one: object, other: object) -> str:
    return f"{_short(one)} against {_short(other)}"


def _short(value: object) -> str:
    return f"{value[:8]}…" if isinstance(value, str) and len(value) >= 64 else repr(value)
