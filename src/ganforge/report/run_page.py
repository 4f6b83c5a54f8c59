"""``report.html``: a whole run on one page, in one file that can be sent."""

import base64
import io
import json
import math
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from ganforge.metrics.protocol import NOISE, REAL, Score
from ganforge.report.curves import HEIGHT, PANELS, WIDTH, Panel, drawings, score_panel
from ganforge.report.tables import BETTER, of_others, protocol_line
from ganforge.report.verdict import MEANINGS, going_on, reference, verdict
from ganforge.utils.files import atomic_path
from ganforge.utils.png import open_png
from ganforge.utils.records import read_records
from ganforge.utils.runs import Run, by_number
from ganforge.utils.terminal import command, relative_path

FRAMES = 10  # pictures of how it learned, evenly spaced, first and last among them
FRAMES_BYTES, PICTURE_BYTES = 600_000, 220_000  # of all frames of one kind, and of one picture
KINDS = 2  # of pictures that are shown: a translator has one for each direction
SIDE, FRAME_SIDE = 1024, 640  # pixels
LIBRARIES = ("ganforge", "torch", "lightning", "numpy")
QUOTED = re.compile(r"([\w.@/+~]+=)'((?:[^'\\]|\\.)*)'", re.DOTALL)
CHOICES = (
    "model", "data", "loss", "regularizer", "generator_term", "augment", "norm", "noise",
    "conditioning", "schedule", "rates", "features",
)  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """What only the training itself knows while it writes the page."""

    step: int
    steps: int
    kimg: float
    seconds: float
    since: int
    device: str
    data: Mapping[str, str]
    ended: bool
    stopped: str = ""


def write_run_page(run: Run, moment: Moment, scores: Sequence[Score], judged: str | None) -> Path:
    """Write ``report.html`` from what lies in the run's folder, whole or not at all.

    ``judged`` is the name of the score that the run is ranked by.
    """
    page = _template().render(**_content(run, moment, scores, judged))
    with atomic_path(run.page) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return run.page


@cache
def _template() -> Any:
    """Every value is escaped: names and paths may hold any text."""
    loader = PackageLoader("ganforge.report", "")
    made = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return made.get_template("run_page.html")


def _content(
    run: Run, moment: Moment, scores: Sequence[Score], judged: str | None
) -> dict[str, Any]:
    main = [score for score in scores if score.name == judged]
    events = _events(run)
    found = [event for event in events if event.get("event") == "found"]
    more = going_on(main, relative_path(run.folder))
    records = read_records(run.metrics)
    best = min((s for s in main if math.isfinite(s.value)), key=lambda s: s.value, default=None)
    return {
        "name": run.folder.name,
        "moment": moment,
        "progress": f"{min(100, 100 * moment.step // max(moment.steps, 1))} %",
        "verdict": verdict(main, moment.ended),
        "more": command("ganforge", *more) if moment.ended and more else "",
        "place": reference(best) if best else None,
        "films": list(_films(run)),
        "real": _real_pictures(run),
        "columns": _columns(scores, main),
        "rows": list(_rows(scores, main)),
        "protocol": protocol_line(main[-1]) if main else "",
        "drawings": drawings(records, _panels(records, main), _marks(found)),
        "findings": found,
        "width": WIDTH,
        "height": HEIGHT,
        "time": _duration(moment.seconds)
        + (f" since step {moment.since:,}" if moment.since else ""),
        **_recipe(run),
        "versions": [(name, _version(name)) for name in LIBRARIES],
        "python": f"Python {platform.python_version()} on {platform.system()}",
    }


def _panels(records: Sequence[Mapping[str, Any]], main: Sequence[Score]) -> Iterator[Panel]:
    if main:
        metric = main[-1].metric.strip("_")
        yield score_panel(main[-1].name, metric.upper() if len(metric) <= 3 else metric)
    else:
        names = sorted({key for r in records for key in r if key.startswith("theory/")})
        for name in names[:2]:
            yield Panel(name.partition("/")[2], "Measured while training.", {name: name[7:]})
    yield from PANELS


def _marks(found: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    return [(int(event["step"]), number) for number, event in enumerate(found, start=1)]


def _events(run: Run) -> list[dict[str, Any]]:
    """What the doctor wrote so far."""
    try:
        lines = (run.folder / "diagnosis.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]
    except (OSError, ValueError):
        return []


def _columns(scores: Sequence[Score], main: Sequence[Score]) -> dict[str, list[Score]]:
    """Moments whose scores are shown beside each other; real images and noise end them."""
    if not main:
        return {}
    finite = [score for score in main if math.isfinite(score.value)]
    first, last = main[0].step, main[-1].step
    best = min(finite, key=lambda score: score.value).step if finite else last
    names: dict[int | None, str] = {first: "first" if first else "untrained"}
    names[best] = "best"
    names[last] = "last and best" if last == best else "last"
    columns = {
        f"{name}, step {step:,}" if step else name: [s for s in scores if s.step == step]
        for step, name in sorted(names.items(), key=lambda item: item[0] or 0)
    }
    ends = [score for score in scores if score.step == last]
    for words, whose in (("real images", REAL), ("noise", NOISE)):
        if others := of_others(ends, whose):
            columns[words] = others
    return columns


def _rows(scores: Sequence[Score], main: Sequence[Score]) -> Iterator[dict[str, Any]]:
    columns = _columns(scores, main)
    values = [{score.name: score.value for score in column} for column in columns.values()]
    for score in {s.name: s for column in columns.values() for s in column}.values():
        yield {
            "name": score.name,
            "better": BETTER.get(score.metric, "↓"),
            "meaning": MEANINGS.get(score.metric.strip("_"), ""),
            "cells": [f"{v[score.name]:.4g}" if score.name in v else "–" for v in values],
            "judged": bool(main) and score.name == main[0].name,
        }


def _films(run: Run) -> Iterator[dict[str, Any]]:
    """Pictures over time, one film a kind: those of a translator have a direction each."""
    kinds: dict[str, list[Path]] = {}
    for path in by_number(run.samples.glob("*_[0-9]*.png")):
        kinds.setdefault(path.stem.rpartition("_")[0], []).append(path)
    for kind, paths in list(kinds.items())[:KINDS]:
        chosen = paths if len(paths) <= FRAMES else [paths[i] for i in _spread(len(paths))]
        share = FRAMES_BYTES // max(len(chosen), 4)
        frames = [_frame(path, FRAME_SIDE, share) for path in chosen[:-1]]
        frames.append(_frame(chosen[-1], SIDE, PICTURE_BYTES))
        if frames := [frame for frame in frames if frame is not None]:
            yield {"kind": "" if kind == "step" else kind.replace("_", " "), "frames": frames}


def _spread(count: int) -> Iterator[int]:
    """Numbers from 0 to ``count - 1``, more of the early ones: there pictures change most."""
    shares = ((i / (FRAMES - 1)) ** 1.5 for i in range(FRAMES))
    yield from dict.fromkeys(round(share * (count - 1)) for share in shares)


def _frame(path: Path, side: int, most: int) -> dict[str, Any] | None:
    """A picture and its step; None of one that cannot be read, as one that is being written."""
    uri = picture_uri(path, side, most)
    return uri and {"uri": uri, "step": int(path.stem.rpartition("_")[2])}


def _real_pictures(run: Run) -> str | None:
    return picture_uri(run.real_pictures, SIDE, PICTURE_BYTES)


def picture_uri(path: Path, side: int, most: int) -> str | None:
    """A picture as text inside of a page: at most ``side`` pixels, about ``most`` bytes."""
    try:
        picture = open_png(path).convert("RGB")
    except (OSError, ValueError):
        return None
    picture.thumbnail((side, side))
    for quality in (88, 75, 60, 40):
        picture.save(file := io.BytesIO(), "WEBP", quality=quality)
        if file.tell() <= most:
            break
    else:
        picture = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BOX)
        picture.save(file := io.BytesIO(), "WEBP", quality=60)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _recipe(run: Run) -> dict[str, Any]:
    """The command, what was chosen, what differs from the recipe, and everything."""
    words = _read(run.config.with_name("overrides.yaml")) or []
    hydra = _read(run.config.with_name("hydra.yaml")) or {}
    choices = _at(hydra, "hydra", "runtime", "choices") or {}
    experiment = choices.get("experiment")
    plain = [_as_typed(str(word)) for word in words if not str(word).startswith("hydra.")]
    config = run.config.read_text(encoding="utf-8") if run.config.is_file() else ""
    return {
        "command": command("ganforge", "train", *plain),
        "experiment": experiment,
        "choices": [
            (group, _told(choices[group])) for group in CHOICES
            if choices.get(group) not in (None, "none", "null", [], "[]")
        ],
        "differences": [
            word.split("=", 1) for word in plain
            if "=" in word and not word.startswith("experiment=")
        ],
        "config": config,
        "seed": _at(_read(run.config) or {}, "seed"),
    }  # fmt: skip


def _as_typed(word: str) -> str:
    """An override without the quotes that Hydra's grammar needs and a user need not type."""
    match = QUOTED.fullmatch(word)
    return match[1] + match[2].replace("\\'", "'") if match else word


def _told(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None


def _at(node: Any, *keys: str) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "–"


def _duration(seconds: float) -> str:
    """``5 min 12 s``: the two largest units."""
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    left, parts = int(seconds), []
    for unit, size in units:
        count, left = divmod(left, size)
        parts.append((count, unit))
    shown_parts = list(_from_first(parts))[:2]
    return " ".join(f"{count} {unit}" for count, unit in shown_parts)


def _from_first(parts: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    parts = list(parts)
    empty = len(list(takewhile(lambda part: not part[0], parts)))
    yield from parts[empty:] or parts[-1:]
