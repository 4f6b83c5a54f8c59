"""Curves of a run's records as what a page draws: points, ticks, numbered marks."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.ticker import LogLocator, MaxNLocator

WIDTH, HEIGHT = 560.0, 190.0  # of a drawing, in units of its own
MOST_POINTS = 240
LOG_FROM = 20.0  # largest over smallest from which an axis that may be logarithmic is


@dataclass(frozen=True)
class Panel:
    """Readings that belong together: names in the records and what they are called."""

    title: str
    says: str
    readings: Mapping[str, str]
    log: bool = False
    limits: tuple[float, float] | None = None
    level: float | None = None


PANELS = (
    Panel(
        "Losses", "Two players pull at each other: neither should run away.",
        {"discriminator/adversarial": "critic", "generator/adversarial": "generator"},
    ),
    Panel(
        "What the critic believes",
        "How real it finds real images, D(x), and generated ones, D(G(z)). Near ½ it cannot tell.",
        {"discriminator/D(x)": "D(x)", "discriminator/D(G(z))": "D(G(z))"},
        limits=(0, 1), level=0.5,
    ),
    Panel(
        "Diversity", "How much samples differ from each other; 1 is as much as the data do.",
        {"doctor/diversity": "samples"}, level=1.0,
    ),
    Panel(
        "Gradients", "How hard each player is pushed; a jump is a shock.",
        {"discriminator/gradient_norm": "critic", "generator/gradient_norm": "generator"},
        log=True,
    ),
)  # fmt: skip
SIDES = ("", "_a", "_b")


@dataclass(frozen=True)
class Curve:
    """One line: its label, the colour's number, whether it is dashed, its path and its values."""

    label: str
    colour: int
    dashed: bool
    steps: list[float]
    values: list[float]
    path: str = ""


@dataclass(frozen=True)
class Drawing:
    """A panel laid out in ``WIDTH × HEIGHT``; y counts from the top."""

    panel: Panel
    curves: list[Curve]
    ticks: list[tuple[float, str]]
    x_ticks: list[tuple[float, str]]
    level: float | None
    marks: list[tuple[float, int]] = field(default_factory=list)
    end: float = 1.0


def score_panel(name: str, label: str) -> Panel:
    """The panel of a score."""
    says = "Measured on generated images while training; lower is better."
    return Panel(label, says, {f"scores/{name}": label}, log=True)


def drawings(
    records: Sequence[Mapping[str, Any]],
    panels: Iterable[Panel],
    marks: Sequence[tuple[int, int]] = (),
) -> list[Drawing]:
    """The panels that the records have something for; ``marks`` are steps with numbers."""
    end = max((float(record["step"] or 0) for record in records), default=1.0) or 1.0
    found = ((panel, _curves(records, panel)) for panel in panels)
    return [_drawn(panel, curves, marks, end) for panel, curves in found if curves]


def _curves(records: Sequence[Mapping[str, Any]], panel: Panel) -> list[Curve]:
    found = []
    for colour, (name, label) in enumerate(panel.readings.items()):
        for side in SIDES:
            seen = [
                (float(r["step"]), float(r[name + side]))
                for r in records
                if _is_number(r.get(name + side)) and _is_number(r.get("step"))
            ]
            if seen:
                steps, values = zip(*_thinned(seen), strict=True)
                text = f"{label} · {side[1:]}" if side else label
                found.append(Curve(text, colour, side == "_b", list(steps), list(values)))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of neighbours where there are more points than a page shows; the last one stays."""
    size = math.ceil(len(points) / MOST_POINTS)
    if size == 1:
        return points
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    means = [tuple(math.fsum(axis) / len(axis) for axis in zip(*g, strict=True)) for g in groups]
    return [*means, points[-1]]


def _drawn(
    panel: Panel, curves: list[Curve], marks: Sequence[tuple[int, int]], end: float
) -> Drawing:
    values = [value for curve in curves for value in curve.values]
    low, high = min(values), max(values)
    logarithmic = panel.log and low > 0 and high > LOG_FROM * low
    if panel.limits:
        low, high = panel.limits
    elif not logarithmic:
        high = max(high, panel.level or high)
        low = min(0.0, low) if low > -high else low
        high = high + 0.06 * ((high - low) or 1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    scale = math.log if logarithmic else float
    bottom, top = scale(low), scale(high)
    pad = 0.05 * (top - bottom) if logarithmic else 0.0
    bottom, top = bottom - pad, top + pad

    def y(value: float) -> float:
        return round(HEIGHT * (1 - (scale(value) - bottom) / (top - bottom)), 1)

    def x(step: float) -> float:
        return round(WIDTH * step / end, 1)

    locator = LogLocator(subs=(1, 3), numticks=6) if logarithmic else MaxNLocator(4)
    ticks = [t for t in locator.tick_values(low, high) if bottom <= _safe(scale, t) <= top]
    laid = [Curve(c.label, c.colour, c.dashed, c.steps, c.values, _path(c, x, y)) for c in curves]
    steps = [t for t in MaxNLocator(5, integer=True).tick_values(0, end) if 0 <= t <= end]
    return Drawing(
        panel,
        laid,
        [(y(tick), f"{tick:.4g}") for tick in ticks],
        [(x(step), f"{step:,.0f}") for step in steps],
        None if panel.level is None else y(panel.level),
        [(x(step), number) for step, number in marks],
        end,
    )


def _safe(scale: Any, value: float) -> float:
    return scale(value) if value > 0 or scale is float else -math.inf


def _path(curve: Curve, x: Any, y: Any) -> str:
    points = zip(curve.steps, curve.values, strict=True)
    return " ".join(f"{x(step)},{y(value)}" for step, value in points)
