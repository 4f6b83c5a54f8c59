"""From single measurements to ratios, a table and a file."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

LABELS = {
    "reference": "reference (fp32)",
    "bare": "bare loop",
    "ganforge": "ganforge train",
}


@dataclass(frozen=True)
class Spread:
    """The median of some rounds and their extremes."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Summarise at least one value."""
        return cls(median(values), min(values), max(values))

    def text(self, form: str) -> str:
        """The median, and the extremes in brackets."""
        low, high = (format(value, form) for value in (self.low, self.high))
        return f"{self.median:{form}} [dim]({low} to {high})[/]"


def three_digits(speeds: Spread) -> str:
    """``speeds`` with at least three digits, and never as 1.06e+03."""
    return speeds.text(".0f" if speeds.median >= 100 else ".1f" if speeds.median >= 10 else ".2f")


@dataclass
class Results:
    """What all rounds measured: one dictionary a variant and round."""

    title: str
    machine: dict[str, Any]
    settings: dict[str, Any]
    rounds: list[dict[str, Any]] = field(default_factory=list)
    overheads: list[float] = field(default_factory=list)
    date: str = field(default_factory=lambda: today())

    def of(self, variant: str, key: str) -> list[float]:
        """One reading of a variant, round by round."""
        return [measured[variant][key] for measured in self.rounds]

    @property
    def variants(self) -> list[str]:
        """What was measured, in the order of the table."""
        return [name for name in LABELS if name in self.rounds[0]]

    def peak(self, precision: str) -> float:
        """The most operations a second that the device was seen to do, at any time of this case."""
        seen = [self.machine["peak"], *(measured["peak"] for measured in self.rounds)]
        return max(peak["flops"][precision] for peak in seen)

    def ratio(self, variant: str, base: str) -> Spread:
        """Speed of ``variant`` over that of ``base``, each round by itself: the load drifts."""
        speed, unit = (self.of(name, "images_per_second") for name in (variant, base))
        return Spread.of([a / b for a, b in zip(speed, unit, strict=True)])

    def ratio_of_computing(self) -> Spread:
        """Seconds on all cores of the reference over ganforge's: what other programs took is out.

        It is a ratio of speeds only where both use one thread, or all cores all the time.
        """
        key = "computing_per_step"
        unit, ours = (self.of(name, key) for name in ("reference", "ganforge"))
        return Spread.of([a / b for a, b in zip(unit, ours, strict=True)])

    def share_of_peak(self, variant: str) -> float:
        """Operations a second over those of a large matrix product in the same precision."""
        precision = "32-true" if variant == "reference" else self.machine["precision"]
        counted = self.machine["flops_per_image"]
        flops = counted.get(variant, counted["ganforge"])
        return self.undisturbed_speed(variant) * flops / self.peak(precision)

    def undisturbed_speed(self, variant: str) -> float:
        """Images a second; on a CPU while it worked for this process, as its peak is measured."""
        speed = median(self.of(variant, "images_per_second"))
        if self.machine["kind"] != "cpu":
            return speed
        clock = median(self.of(variant, "milliseconds_per_step"))
        computing = median(self.of(variant, "computing_per_step")) / self.machine["threads"]
        return speed * clock / computing

    def memory(self, variant: str) -> str:
        """Peak of main memory, and of the accelerator's where there is one."""
        keys = ("peak_memory", "peak_device_memory")
        peaks = [max(self.of(variant, k)) for k in keys if k in self.rounds[0][variant]]
        return " + ".join(f"{peak / 1e9:.2f} GB" for peak in peaks)

    def summary(self) -> dict[str, Any]:
        """The derived numbers, for the file."""
        overhead = {"lightning_overhead": vars(Spread.of(self.overheads))} if self.overheads else {}
        return {
            "speedup": vars(self.ratio("ganforge", "reference")),
            "speedup_of_computing": vars(self.ratio_of_computing()),
            **overhead,
            "share_of_peak": {name: self.share_of_peak(name) for name in self.variants},
        }

    def as_dict(self) -> dict[str, Any]:
        """Everything, for the file."""
        return {**vars(self), "summary": self.summary()}

    def show(self, console: Console) -> None:
        """Print the table and what to read it with."""
        table = Table(title=self.title, title_justify="left")
        table.add_column("loop")
        for title in ("img/s", "× reference", "of peak", "peak memory"):
            table.add_column(title, justify="right")
        for name in self.variants:
            table.add_row(
                LABELS[name],
                three_digits(Spread.of(self.of(name, "images_per_second"))),
                self.ratio(name, "reference").text(".2f"),
                f"{self.share_of_peak(name):.0%}",
                self.memory(name),
            )
        console.print(table)
        if self.overheads:
            console.print(
                "A step under Lightning, with its logging, takes longer than the same step in a "
                f"bare loop by {Spread.of(self.overheads).text('.1%')}",
                highlight=False,
            )
        if self.machine["kind"] == "cpu":
            console.print(
                "Computing time of a step on all cores, reference over ganforge: "
                f"{self.ratio_of_computing().text('.2f')}",
                highlight=False,
            )
        console.print(self._circumstances(), highlight=False)

    def _circumstances(self) -> str:
        loads = [measured["load_average"] for measured in self.rounds]
        rounds, steps = len(self.rounds), self.settings["steps"]
        return (
            f"{circumstances(self.machine)}\n"
            f"{self.date}; median (least to most) of {rounds} rounds in turn, {steps} "
            f"steps each; load average {min(loads):.1f} to {max(loads):.1f}"
        )


def circumstances(machine: dict[str, Any]) -> str:
    """What a number must be read with, in a line."""
    libraries = ", ".join(f"{name} {v}" for name, v in machine["libraries"].items())
    copied = machine["peak"]["copied_bytes"] / 1e9
    return (
        f"{machine['device']}, {machine['threads']} threads, {machine['precision']}, "
        f"{copied:.0f} GB/s copied; Python {machine['python']}, {libraries}"
    )


def today() -> str:
    """The time of a measurement, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
