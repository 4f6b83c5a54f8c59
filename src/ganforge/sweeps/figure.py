"""Parallel coordinates: one axis a swept key, one line a configuration, coloured by its rank."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganforge.sweeps.ranking import Place
from ganforge.utils.files import atomic_path

NUMBERS_FROM = 5  # fewer different numbers are shown as names: each has a place of its own
TICKS = 3  # of an axis of numbers
BARS = 0.22  # of the distance of two axes, for bars beside the last
LOG_FROM = 30.0  # largest over smallest from which an axis is logarithmic


@dataclass(frozen=True)
class Axis:
    """Where each value lies on an axis, from 0 to 1, and what is written beside it.

    ``bars`` are the ends of what a value spreads over; None of a single one.
    """

    name: str
    heights: list[float]
    ticks: list[tuple[float, str]]
    bars: list[tuple[float, float] | None] = field(default_factory=list)


def axis(name: str, values: Sequence[str], lowest_first: bool = True) -> Axis:
    """An axis of names at even distances or, where the values are many numbers, of numbers."""
    numbers = [_number(value) for value in values]
    finite = [number for number in numbers if number is not None]
    distinct = sorted(set(values), key=_order)
    if len(finite) < len(values) or len(set(finite)) < NUMBERS_FROM:
        gap = max(len(distinct) - 1, 1)
        places = {value: i / gap if len(distinct) > 1 else 0.5 for i, value in enumerate(distinct)}
        return Axis(name, [places[v] for v in values], [(h, v) for v, h in places.items()])
    return numeric_axis(name, finite, lowest_first)


def numeric_axis(
    name: str,
    values: Sequence[float],
    lowest_first: bool = True,
    spreads: Sequence[float | None] = (),
) -> Axis:
    """An axis of numbers, logarithmic where they span orders of magnitude.

    With ``spreads`` it reaches as far as the values spread.
    """
    ends = [
        (value - spread, value + spread) if spread else None
        for value, spread in zip(values, spreads, strict=bool(spreads))
    ]
    reached = [*values, *(end for pair in ends if pair for end in pair)]
    low, high = min(reached), max(reached)
    logarithmic = low > 0 and high / low >= LOG_FROM

    def height(value: float) -> float:
        a, b, x = map(math.log, (low, high, value)) if logarithmic else (low, high, value)
        share = (x - a) / (b - a) if b > a else 0.5
        return share if lowest_first else 1 - share

    marks = [_between(low, high, i / (TICKS - 1), logarithmic) for i in range(TICKS)]
    ticks = [(height(mark), f"{mark:.3g}") for mark in (marks if high > low else [low])]
    bars = [(height(pair[0]), height(pair[1])) if pair else None for pair in ends]
    title = f"{name} (log)" if logarithmic else name
    return Axis(title, [height(v) for v in values], ticks, bars)


def draw(places: Sequence[Place], keys: Sequence[str], objective: str, path: Path) -> None:
    """Draw the ranked places that have a value; the best is the thickest, at the top right."""
    scored = [place for place in places if place.values]
    columns = [axis(key, [place.settings[i] for place in scored]) for i, key in enumerate(keys)]
    means, spreads = [p.mean for p in scored], [p.spread for p in scored]
    columns.append(numeric_axis(objective, means, lowest_first=False, spreads=spreads))
    figure = Figure(figsize=(max(6.4, 2.0 * len(columns)), 4.8), dpi=110, layout="constrained")
    axes = figure.subplots()
    colours = colormaps["viridis"]
    for place in reversed(range(len(scored))):  # the best is drawn last, above the others
        share = place / max(len(scored) - 1, 1)
        heights = [column.heights[place] for column in columns]
        axes.plot(
            range(len(columns)), heights, color=colours(0.92 * share), alpha=0.9,
            lw=3.2 if place == 0 else 1.3, marker="o", ms=5 if place == 0 else 3,
            zorder=3 if place == 0 else 2,
        )  # fmt: skip
    _draw_spreads(axes, columns[-1], len(columns) - 1)
    _label(axes, columns)
    repeated = "\nbars: one standard deviation over seeds" if any(spreads) else ""
    title = f"{len(scored)} configurations, dark to light by rank; best on top{repeated}"
    axes.set_title(title, fontsize=10)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def _draw_spreads(axes: Axes, column: Axis, x: int) -> None:
    """A bar for each configuration that has several seeds, side by side right of the axis."""
    barred = [place for place, bar in enumerate(column.bars) if bar]
    colours = colormaps["viridis"]
    for number, place in enumerate(barred):
        at = x + 0.05 + (BARS - 0.05) * number / max(len(barred), 6)
        share = place / max(len(column.bars) - 1, 1)
        bottom, top = sorted(column.bars[place])
        axes.plot(
            [at, at], [bottom, top], color=colours(0.92 * share), lw=2, zorder=3,
            marker="_", ms=6,
        )  # fmt: skip


def _label(axes: Axes, columns: Sequence[Axis]) -> None:
    for x, column in enumerate(columns):
        axes.axvline(x, color="#888888", lw=0.8, zorder=1)
        beside = BARS if any(column.bars) else 0.0
        for height, text in column.ticks:
            axes.annotate(
                text, (x + beside, height), xytext=(5, 0), textcoords="offset points", va="center",
                fontsize=8, bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.8},
                zorder=4, parse_math=False,
            )  # fmt: skip
    names = [column.name for column in columns]
    axes.set_xticks(range(len(columns)), names, fontsize=9, parse_math=False)
    axes.set_yticks([])
    right = len(columns) - 0.55 + (BARS if any(columns[-1].bars) else 0.0)
    axes.set(xlim=(-0.25, right), ylim=(-0.05, 1.05))
    for side in axes.spines.values():
        side.set_visible(False)


def _between(low: float, high: float, share: float, logarithmic: bool) -> float:
    if logarithmic:
        return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return low + share * (high - low)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _order(text: str) -> tuple[float, str]:
    number = _number(text)
    return (math.inf if number is None else number, text)
