"""Rankings as a page: one file of HTML that holds its pictures and can be sent."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from ganforge.scoring.ranking import Entry, cell
from ganforge.utils.files import atomic_path
from ganforge.utils.images import open_png

PIXELS = 320  # side of a picture on the page
STYLE = (
    "body{font:15px system-ui;margin:2em auto;max-width:70em;padding:0 1em}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.5em .8em;text-align:left;"
    "border-bottom:1px solid #ccc;vertical-align:top}small{color:#666}"
)


def write_page(title: str, parts: Sequence[str], output: Path) -> None:
    """Write the parts as one page, whole or not at all."""
    page = f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>"
    with atomic_path(output) as temporary:
        temporary.write_text(page + "".join(parts) + "\n", encoding="utf-8")


def note(text: str) -> str:
    """A line in small print."""
    return f"<p><small>{html.escape(text)}</small></p>"


def section(entries: Sequence[Entry], name: str, protocol: str) -> str:
    """A table of the page."""
    rows = "".join(
        f"<tr><td>{place}<td>{html.escape(entry.name)}<br><small>{_names(entry)}</small>"
        f"<td>{cell(entry)}<td>{_picture(entry)}"
        for place, entry in enumerate(entries, start=1)
    )
    head = f"<tr><th>rank<th>runs<th>{html.escape(name)}<th>samples"
    return f"<h2>{html.escape(name)}</h2><table>{head}{rows}</table>{note(protocol)}"


def _names(entry: Entry) -> str:
    return "<br>".join(html.escape(str(run.run.folder)) for run in entry.runs)


def _picture(entry: Entry) -> str:
    """The samples of the row's first run, inside of the page."""
    if entry.picture is None:
        return ""
    try:
        small = open_png(entry.picture).convert("RGB")
    except (OSError, ValueError):
        return "<small>its picture cannot be read</small>"
    small.thumbnail((PIXELS, PIXELS))
    file = io.BytesIO()
    small.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img width="{small.width}" alt="samples" src="data:image/png;base64,{data}">'
