"""``ganforge leaderboard``: all runs of a folder ranked, on the terminal and as a page."""

import base64
import html
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig
from PIL import Image
from rich.console import Console

from ganforge.commands.compare import cell, ranking_table, wanted
from ganforge.commands.ranking import Entry, Scored, boards, common_measure, rank, read_scored
from ganforge.commands.report import protocol_line, shown
from ganforge.metrics.protocol import Measure, Score, told
from ganforge.utils.errors import GanforgeError, UserError
from ganforge.utils.files import atomic_path
from ganforge.utils.runs import Run

PIXELS = 320  # side of a picture on the page
STYLE = (
    "body{font:15px system-ui;margin:2em auto;max-width:70em;padding:0 1em}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.5em .8em;text-align:left;"
    "border-bottom:1px solid #ccc;vertical-align:top}small{color:#666}"
)


def leaderboard(config: DictConfig) -> None:
    """Print a table for each protocol, say why they are apart, and write the page."""
    console = Console()
    runs = list(_scored(config, console))
    if not runs:
        raise UserError(
            f"there are no scored runs below {', '.join(config.runs)}: train one, or "
            "ganforge evaluate run=..."
        )
    groups = boards(runs, config.metric)
    parts = []
    for measure, members in sorted(groups, key=lambda group: -len(group[1])):
        entries, protocol = rank(members, measure), protocol_line(members[0].scores[measure])
        console.print(ranking_table(entries, measure))
        console.print(f"[dim]{protocol}[/]", soft_wrap=True)
        parts.append(_section(entries, measure.name, protocol))
    for line in _apart(groups):
        console.print(line, soft_wrap=True, markup=False)
        parts.append(f"<p><small>{html.escape(line)}</small></p>")
    output = Path(config.output or Path(config.runs[0]) / "leaderboard.html")
    page = f"<!doctype html><meta charset=utf-8><title>Leaderboard</title><style>{STYLE}</style>"
    with atomic_path(output) as temporary:
        temporary.write_text(page + "".join(parts) + "\n", encoding="utf-8")
    console.print(f"pictures beside the scores: {shown(output)}", soft_wrap=True)


def _scored(config: DictConfig, console: Console) -> Iterator[Scored]:
    """Every run below the folders that has the wanted score; a word on those left out."""
    for folder in config.runs:
        if not Path(folder).expanduser().is_dir():
            raise UserError(f"{folder} is not a folder: ganforge leaderboard outputs")
        for path in sorted(Path(folder).expanduser().rglob(".hydra/config.yaml")):
            run = Run(path.parents[1])
            if run.folder.is_symlink():
                continue  # outputs/latest
            try:
                scored = read_scored(run, wanted(config))
                common_measure([scored], config.metric)
                scored.recipe  # noqa: B018 - reads the configuration, which may be damaged
            except GanforgeError as error:
                console.print(f"left out: {error}", soft_wrap=True, markup=False)
                continue
            yield scored


def _apart(groups: Sequence[tuple[Measure, list[Scored]]]) -> Iterator[str]:
    """Why tables are not one: the first against each other one."""
    (measure, members), *others = sorted(groups, key=lambda group: -len(group[1]))
    first = members[0].scores[measure]
    for other, runs in others:
        why = _difference(first, runs[0].scores[other])
        yield f"{measure.name} and {other.name} are not ranked together: {why}"


def _difference(first: Score, other: Score) -> str:
    if first.metric != other.metric:
        return "they are different metrics"
    return told(first.protocol.differences(other.protocol))


def _section(entries: Sequence[Entry], name: str, protocol: str) -> str:
    """A table of the page."""
    rows = "".join(
        f"<tr><td>{place}<td>{html.escape(entry.name)}<br><small>{_names(entry)}</small>"
        f"<td>{cell(entry)}<td>{_picture(entry)}"
        for place, entry in enumerate(entries, start=1)
    )
    head = f"<tr><th>rank<th>runs<th>{html.escape(name)}<th>samples"
    note = f"<p><small>{html.escape(protocol)}</small></p>"
    return f"<h2>{html.escape(name)}</h2><table>{head}{rows}</table>{note}"


def _names(entry: Entry) -> str:
    return "<br>".join(html.escape(str(run.run.folder)) for run in entry.runs)


def _picture(entry: Entry) -> str:
    """The samples of the row's first run, inside of the page."""
    path = next((run.picture for run in entry.runs if run.picture), None)
    if path is None:
        return ""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
            small.thumbnail((PIXELS, PIXELS))
    except OSError:
        return "<small>its picture cannot be read</small>"
    file = io.BytesIO()
    small.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img width="{small.width}" alt="samples" src="data:image/png;base64,{data}">'
