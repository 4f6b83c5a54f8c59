"""Runs: what trains and what was trained, live; nothing is written to a run."""

import asyncio
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from nicegui import ui

from ganforge.lab.frame import Desk, head
from ganforge.lab.parts import choice, link, make, picture, slide
from ganforge.lab.pictures import url_of
from ganforge.lab.recipes import line
from ganforge.metrics.protocol import Score, refuse_unlike
from ganforge.report.tables import BETTER
from ganforge.scoring.ranking import read_records
from ganforge.training.locks import is_locked
from ganforge.utils.errors import GanforgeError
from ganforge.utils.png import open_png
from ganforge.utils.runs import Run, by_number

SECONDS = 3  # between two looks
TAIL = 8 << 20  # bytes at the end of a log that are read
MOST_RUNS = 100
MOST_PICTURE = 20 << 20  # bytes of a grid of samples
CURVES = {
    "Scores": ("scores/",),
    "D(x) and D(G(z))": ("discriminator/D(",),
    "Losses": ("generator/loss", "discriminator/loss"),
}
COLOURS = ("#ffb454", "#6fb7ff", "#6fd08c", "#ff8b7b", "#c79bff", "#e6e06a")


@dataclass(frozen=True)
class Seen:
    """What a look at a run's folder shows."""

    name: str
    folder: Path
    live: bool
    records: Sequence[Mapping[str, Any]]
    scores: Sequence[Score]
    samples: Sequence[Path]
    findings: Sequence[Mapping[str, Any]]
    told: str = ""

    @property
    def step(self) -> int:
        """The last step that was logged."""
        steps = [r["step"] for r in self.records if isinstance(r.get("step"), int)]
        return max(steps, default=0)

    def last(self) -> list[Score]:
        """The newest value of each score."""
        newest = {score.name: score for score in sorted(self.scores, key=lambda s: s.step or 0)}
        return list(newest.values())


class Looks:
    """Looks at runs; what has not changed since the last look is not read again."""

    def __init__(self) -> None:
        self.seen: dict[Path, tuple[Any, Seen]] = {}

    def at(self, folders: Mapping[str, Path]) -> list[Seen]:
        """What is seen of the first runs of many."""
        return [self._one(name, folder) for name, folder in list(folders.items())[:MOST_RUNS]]

    def _one(self, name: str, folder: Path) -> Seen:
        run = Run(folder)
        paths = (run.metrics, run.scores, run.samples, folder / "diagnosis.jsonl", folder)
        stamp = tuple(map(_stamp, paths))
        if self.seen.get(folder, (None, None))[0] != stamp:
            self.seen[folder] = stamp, look(name, folder)
        return replace(self.seen[folder][1], live=_trains(run))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def _trains(run: Run) -> bool:
    try:
        return is_locked(run)
    except OSError:
        return False


def look(name: str, folder: Path) -> Seen:
    """Read a run; what cannot be read now, because it is being written or deleted, is left out."""
    run, told = Run(folder), ""
    try:
        scores = read_records(run.scores) if run.scores.is_file() else []
    except (GanforgeError, OSError, ValueError) as error:
        scores, told = [], str(error)
    samples = by_number(run.samples.glob("*.png")) if run.samples.is_dir() else []
    if not folder.is_dir():
        told = f"{name} was deleted or moved meanwhile."
    records, findings = _lines(run.metrics), _lines(folder / "diagnosis.jsonl")
    return Seen(name, folder, False, records, scores, samples, findings, told)


def _lines(path: Path) -> list[dict[str, Any]]:
    """Records of a log, of the end of a long one; half a line at its end is left out."""
    try:
        if not path.is_file():
            return []
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            lines = file.read(TAIL).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return list(_records(lines))


def _records(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    for text in lines:
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record


def curve(records: Sequence[Mapping[str, Any]], starts: Sequence[str], title: str) -> str:
    """Curves as SVG: one a key that begins so; empty where there is none."""
    series: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        for key, value in record.items():
            good = isinstance(value, int | float) and math.isfinite(value)
            if key.startswith(tuple(starts)) and good and isinstance(record.get("step"), int):
                series.setdefault(key, []).append((record["step"], float(value)))
    series = {k: v for k, v in list(series.items())[: len(COLOURS)] if len(v) > 1}
    if not series:
        return ""
    # Each score has a scale of its own; what is alike shares one.
    shared = title != "Scores"
    return _svg(series, shared, title)


def _svg(series: Mapping[str, list[tuple[float, float]]], shared: bool, title: str) -> str:
    width, height, left, top = 460, 210, 44, 30
    points = [point for route in series.values() for point in route]
    most_x = max(x for x, _ in points) or 1
    parts = [f'<svg class="curve" viewBox="0 0 {width} {height + 18 * len(series)}" role="img" ']
    parts.append(f'aria-label="{escape(title)} over steps">')
    scale = "" if shared else ", each on a scale of its own"
    parts.append(f'<text class="title" x="{left}" y="14">{escape(title)}{scale}</text>')
    bounds = _bounds([y for _, y in points])
    for number, (key, route) in enumerate(series.items()):
        low, high = bounds if shared else _bounds([y for _, y in route])
        thin = route[:: max(1, len(route) // 400)]
        places = " ".join(
            f"{left + (width - left - 8) * x / most_x:.1f},"
            f"{top + (height - top - 24) * (high - y) / (high - low):.1f}"
            for x, y in thin
        )
        colour = COLOURS[number]
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{places}"/>'
        )
        at = height + 12 + 18 * number
        parts.append(
            f'<rect x="{left}" y="{at - 9}" width="10" height="10" rx="3" fill="{colour}"/>'
        )
        name = key.removeprefix("scores/")
        parts.append(f'<text x="{left + 16}" y="{at}">{escape(name)}: {route[-1][1]:.4g}</text>')
    if shared:
        parts.append(f'<text x="4" y="{top + 9}">{bounds[1]:.3g}</text>')
        parts.append(f'<text x="4" y="{height - 16}">{bounds[0]:.3g}</text>')
    parts.append(f'<text x="{left}" y="{height - 3}">0</text>')
    parts.append(f'<text x="{width - 8}" y="{height - 3}" text-anchor="end">step {most_x:,}</text>')
    return "".join([*parts, "</svg>"])


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


async def runs(desk: Desk) -> None:
    """The page."""
    shelf = desk.lab.shelf
    folders = await asyncio.to_thread(shelf.folders)
    head("Runs", "All runs, and what becomes of those that train now. Nothing is written to them.")
    if not folders:
        desk.notice.say(desk.told or "There is no run yet.", info=True)
        return
    chosen = [desk.wanted.get("run") or desk.name or next(iter(folders))]
    other = desk.wanted.get("with", "")
    with make("div", "", "panel"), make("div", "", "scroll"):
        table = make("table", "", "plain", aria_label="Runs")
    with make("div", "", "panel"), make("div", "", "tools"):
        names = {name: name for name in folders}

        def beside(name: str) -> None:
            ui.navigate.to(desk.address("runs", with_=name))

        with make("label", "", "field"):
            make("span", f"compare {chosen[0]} with")
            choice("Compare with", {"": "no other", **names}, other, beside)
    with make("div", "", "grid2"):
        shown = [Shown(name) for name in dict.fromkeys([*chosen, other]) if name]
    differ, looks = make("p", "", "soft", role="status"), Looks()

    async def again() -> None:
        now = await asyncio.to_thread(shelf.folders)
        seen = await asyncio.to_thread(looks.at, now)
        _table(table, desk, seen)
        by_name = {each.name: each for each in seen}
        for each in shown:
            each.show(by_name.get(each.name))
        if len(shown) == 2 and all(each.name in by_name for each in shown):
            differ.set_text(_comparison(*(by_name[each.name] for each in shown)))

    await again()
    ui.timer(SECONDS, again, immediate=False)


def _table(table: Any, desk: Desk, seen: Sequence[Seen]) -> None:
    rows = [
        (each.name, each.live, each.step, *[f"{s.name} {s.value:.4g}" for s in each.last()[:2]])
        for each in seen
    ]
    if table.props.get("data-state") == repr(rows):
        return  # nothing is new: what one reads or has focused stays
    table.props["data-state"] = repr(rows)
    table.clear()
    with table:
        with make("thead"), make("tr"):
            for words in ("run", "", "step", "scores"):
                make("th", words, scope="col")
        with make("tbody"):
            for name, live, step, *scores in rows:
                with make("tr"):
                    with make("td"):
                        link(name, desk.address("runs", run=name), "")
                    with make("td"):
                        make("span", "trains now" if live else "ended", f"badge{' live' * live}")
                    make("td", f"{step:,}")
                    make("td", ", ".join(scores) or "none yet")


def _comparison(one: Seen, other: Seen) -> str:
    """Which of two runs is better by the scores that may be compared; why not, otherwise."""
    theirs = {score.name: score for score in other.last()}
    told = []
    for score in one.last():
        if score.name not in theirs:
            continue
        pair = (score.of_run(one.name), theirs[score.name].of_run(other.name))
        try:
            refuse_unlike(pair)
        except GanforgeError as error:
            told.append(str(error))
            continue
        arrow = BETTER.get(score.metric, "↓")
        told.append(f"{score.name} {arrow}: {pair[0].value:.4g} and {pair[1].value:.4g}.")
    return " ".join(told) or "They have no score in common."


class Shown:
    """One run in full: samples over time, curves, findings, scores."""

    def __init__(self, name: str) -> None:
        self.name, self.at, self.state, self.seen = name, 1.0, "", None
        with make("section", "", "panel", aria_label=f"Run {name}"):
            with make("div", "", "tools"):
                make("h2", name)
                self.badge = make("span", "", "badge")
            self.told = make("p", "", "soft", role="status")
            self.grid = picture(alt=f"Samples of {name}", classes="film")
            self.words = make("span", "", "soft")
            self.slider = slide(f"Step of the samples of {name}", 0, 1, 0.001, 1, self._to)
            self.curves = ui.html("", sanitize=False)
            self.findings = make("div", "", "slides")
            with make("div", "", "scroll"):
                self.scores = make("table", "", "plain", aria_label=f"Scores of {name}")
            self.command = make("pre", "", "soft")

    def show(self, seen: Seen | None) -> None:
        """Show what was seen; a run that is gone says so."""
        if seen is None:
            self.told.set_text(f"{self.name} is not there: it was deleted, moved, or never was.")
            self.grid.set_visibility(False)
            return
        self.seen = seen
        state = (
            f"{seen.step} {len(seen.samples)} {len(seen.scores)} {len(seen.findings)} {seen.live}"
        )
        if state == self.state and not seen.told:
            return
        self.state = state
        self.told.set_text(seen.told)
        self.badge.set_text("trains now" if seen.live else f"step {seen.step:,}")
        self.badge.classes(add="live") if seen.live else self.badge.classes(remove="live")
        drawn = [curve(seen.records, starts, title) for title, starts in CURVES.items()]
        self.curves.set_content("".join(drawn))
        self._findings()
        self._scores()
        self.command.set_text(line("evaluate", seen.folder))
        self._samples()

    def _to(self, value: float) -> None:
        self.at = value
        self._samples()

    def _samples(self) -> None:
        if self.seen is None or not self.seen.samples:
            self.grid.set_visibility(False)
            self.slider.set_visibility(False)
            return
        samples = self.seen.samples
        path = samples[round(min(1.0, max(0.0, self.at)) * (len(samples) - 1))]
        try:
            if path.stat().st_size > MOST_PICTURE:
                raise ValueError("it is too large")
            data = path.read_bytes()
            open_png(data)
        except (OSError, ValueError) as error:
            self.words.set_text(f"{path.name} cannot be shown: {error}")
            return
        self.words.set_text(path.stem.replace("_", " "))
        self.grid.props["src"] = url_of(data, "image/png")
        self.grid.set_visibility(True)
        self.slider.set_visibility(len(samples) > 1)

    def _findings(self) -> None:
        self.findings.clear()
        with self.findings:
            found = [f for f in self.seen.findings if isinstance(f.get("message"), str)][-6:]
            if found:
                make("h2", "The doctor's findings")
            for finding in found:
                make("p", f"step {finding.get('step')}: {finding['message'][:400]}", "soft")

    def _scores(self) -> None:
        self.scores.clear()
        scores = self.seen.last()
        with self.scores, make("tbody"):
            for score in scores:
                protocol = score.protocol
                with make("tr"):
                    make("td", f"{score.name} {BETTER.get(score.metric, '↓')}")
                    make("td", f"{score.value:.4g}")
                    words = f"{protocol.extractor} ({str(protocol.sha256)[:8]}), {protocol.n_fake} "
                    words += f"generated, {protocol.n_real} real of {protocol.split or 'none'}"
                    make("td", f"step {score.step}; {words}; seed {protocol.seed}", "soft")
