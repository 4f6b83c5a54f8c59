"""The health report: one picture of how a training went, with the doctor's marks."""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganforge.callbacks.doctor.vitals import Vitals, known

CRITIC, GENERATOR, DATA, MARK = "#3366cc", "#2a9d5c", "#555555", "#c8553d"
OTHERS = ("#7b4fa3", "#b8860b", "#1b8a8f", "#a33a6a", "#6b7280", "#4d7c0f")
PANEL, WIDTH, LINE = 2.15, 10.5, 0.19  # inches: a panel's height, the picture's width, a text line
WRAP = 132  # characters of a line under the panels

Histories = Mapping[str, Sequence[Vitals]]
Events = Sequence[Mapping[str, Any]]
Curve = tuple[str, list[int], list[float], str, str]  # label, steps, values, colour, line style


@dataclass(frozen=True)
class Panel:
    """What one panel shows; ``level`` is drawn as a thin line, and said what it means."""

    title: str
    curves: list[Curve]
    log: bool = False
    limits: tuple[float, float] | None = None
    level: tuple[float, str] | None = None


def curves(histories: Histories, readings: Mapping[str, tuple[str, str]]) -> list[Curve]:
    """A curve for each reading (name -> label, colour) and side; sides differ in line style."""
    found: list[Curve] = []
    for (side, history), style in zip(histories.items(), ("-", "--"), strict=False):
        for name, (label, colour) in readings.items():
            seen = [v for v in known(history, name) if math.isfinite(getattr(v, name))]
            values = [getattr(v, name) for v in seen]
            text = f"{label} · {side}" if side else label
            if seen:
                found.append((text, [v.step for v in seen], values, colour, style))
    return found


def term_curves(history: Sequence[Vitals]) -> list[Curve]:
    """The generator's other terms."""
    names = list(dict.fromkeys(name for vitals in history for name in vitals.terms))
    found = []
    for name, colour in zip(names, OTHERS, strict=False):
        seen = [v for v in history if math.isfinite(v.terms.get(name, math.nan))]
        values = [v.terms[name] for v in seen]
        found.append((name.replace("_", " · "), [v.step for v in seen], values, colour, "-"))
    return found


def panels(histories: Histories, score: str) -> list[Panel]:
    """The panels that this training has something to show in; ``score`` is what it is judged by."""
    # What belongs to the whole game is the same in every side's history.
    first = {"": next(iter(histories.values()), ())}
    players = {"critic": ("critic", CRITIC), "generator": ("generator", GENERATOR)}
    losses = {f"{player}_loss": value for player, value in players.items()}
    gradients = {f"{player}_gradient": value for player, value in players.items()}
    beliefs = {"d_real": ("D(x)", CRITIC), "d_fake": ("D(G(z))", GENERATOR)}
    logits = {"logit_real": ("real", CRITIC), "logit_fake": ("generated", GENERATOR)}
    diversity = {"diversity": ("samples", GENERATOR)}
    memory = {"memory": ("critic", CRITIC)}
    shown = [
        Panel("adversarial losses", curves(histories, losses)),
        Panel("D(x) and D(G(z))", curves(histories, beliefs), limits=(0, 1), level=(0.5, "")),
        Panel("logits", curves(histories, logits), level=(0.0, "")),
        Panel("gradient norms", curves(first, gradients), log=True),
        Panel("diversity", curves(histories, diversity), level=(1.0, "the data's own")),
        Panel(
            "learned by heart", curves(histories, memory), limits=(-0.2, 1), level=(0.0, "nothing")
        ),
        Panel("other terms", term_curves(first[""])),
        Panel(score, curves(first, {"score": (score, DATA)}), log=True),
    ]
    return [panel for panel in shown if panel.curves]


def draw_health(histories: Histories, events: Events, title: str, score: str = "score") -> Any:
    """Draw the report as a matplotlib figure; ``score`` names what the training is judged by."""
    from matplotlib.figure import Figure

    shown = panels(histories, score)
    marks = [event for event in events if event["event"] == "found"]
    lines = [line for i, event in enumerate(marks, 1) for line in _note(i, event)]
    rows = max(1, math.ceil(len(shown) / 2))
    foot = LINE * (len(lines) or 1) + 0.25
    height = 0.65 + PANEL * rows + foot
    figure = Figure(figsize=(WIDTH, height), dpi=110, facecolor="white")
    grid = figure.subplots(rows, 2, squeeze=False, sharex=True)
    figure.subplots_adjust(
        left=0.06, right=0.985, top=1 - 0.8 / height, bottom=(foot + 0.42) / height,
        hspace=0.34, wspace=0.13,
    )  # fmt: skip
    end = max((h[-1].step for h in histories.values() if h), default=1)
    for i, axes in enumerate(grid.flat):
        if i < len(shown):
            _draw_panel(axes, shown[i])
            _draw_marks(axes, events, end)
            axes.set_xlim(0, end)
            axes.tick_params(labelbottom=i >= len(shown) - 2)
        else:
            axes.set_visible(False)
    figure.text(0.06, 1 - 0.27 / height, title, fontsize=12, weight="bold", va="center")
    text = "\n".join(lines) or "The doctor found nothing."
    colour = MARK if lines else GENERATOR
    figure.text(
        0.06, (foot - 0.12) / height, text, fontsize=8.5, va="top", color=colour, linespacing=1.45
    )
    return figure


def _note(number: int, event: Mapping[str, Any]) -> list[str]:
    text = f"{number}  step {event['step']}: {event['message']}"
    return textwrap.wrap(text, WRAP, subsequent_indent="     ")


def _draw_panel(axes: Any, panel: Panel) -> None:
    for label, steps, values, colour, style in panel.curves:
        marker = "o" if len(steps) < 15 else ""
        axes.plot(
            steps, values, style, color=colour, lw=1.5, marker=marker, ms=3, label=label,
            solid_capstyle="round",
        )  # fmt: skip
    values = [value for curve in panel.curves for value in curve[2]]
    if panel.log and min(values) > 0 and max(values) > 10 * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.minorticks_off()
    if panel.limits:
        axes.set_ylim(*panel.limits)
    elif not panel.log and 0 <= min(values) < max(values) / 2:
        # From 0, and up to the level: what is drawn outside a panel falls into its neighbour.
        axes.set_ylim(0, 1.08 * max([*values, panel.level[0] if panel.level else 0]))
    if panel.level:
        height, meaning = panel.level
        axes.axhline(height, color="#999999", lw=0.8, ls=":")
        axes.annotate(
            meaning, (0, height), xycoords=("axes fraction", "data"), xytext=(4, -3),
            textcoords="offset points", va="top", fontsize=7.5, color="#777777",
        )  # fmt: skip
    axes.set_title(panel.title, loc="left", fontsize=9.5, pad=5)
    axes.grid(axis="y", color="#e8e8e8", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#bbbbbb")
    axes.tick_params(labelsize=8, color="#bbbbbb")
    if len(panel.curves) > 1:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=4, fontsize=7.5, frameon=False,
            handlelength=1.4, columnspacing=1.0, borderaxespad=0.1,
        )  # fmt: skip


def _draw_marks(axes: Any, events: Events, end: int) -> None:
    """A numbered line where a finding begins, and a shade for as long as it lasts."""
    number = 0
    for i, event in enumerate(events):
        if event["event"] != "found":
            continue
        number += 1
        is_same = _same(event)
        over = next((e["step"] for e in events[i + 1 :] if is_same(e)), end)
        if "returns" not in event["numbers"]:
            axes.axvspan(event["step"], over, color=MARK, alpha=0.06, lw=0)
        axes.axvline(event["step"], color=MARK, lw=1, ls=(0, (3, 2)))
        axes.annotate(
            str(number), (event["step"], 1), xycoords=("data", "axes fraction"), xytext=(2, -9),
            textcoords="offset points", fontsize=7.5, color=MARK, weight="bold",
        )  # fmt: skip


def _same(event: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool]:
    key = (event["name"], event["side"])
    return lambda other: other["event"] == "over" and (other["name"], other["side"]) == key
