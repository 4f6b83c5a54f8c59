"""Rankings as a page: one file of HTML that holds its pictures and can be sent."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from ganforge.scoring.ranking import Entry, cell
from ganforge.utils.files import atomic_path
from ganforge.utils.png import open_png

PIXELS = 320  # side of a picture on the page
BYTES, LARGEST = 1_200_000, 40_000  # of all pictures, of one
STYLE = (
    "body{font:15px system-ui;margin:2em auto;max-width:70em;padding:0 1em}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.5em .8em;text-align:left;"
    "border-bottom:1px solid #ccc;vertical-align:top}small{color:#666}"
)


class Pictures:
    """Samples of the page's rows: each is in the page once, however many tables show it.

    All together take about ``BYTES``: of more rows each has less.
    """

    def __init__(self, count: int) -> None:
        self.most = min(LARGEST, BYTES // max(count, 1))
        self._numbers: dict[Path, int] = {}
        self._styles: list[str] = []

    @property
    def style(self) -> str:
        """What shows them."""
        return "".join(self._styles)

    def cell(self, path: Path | None) -> str:
        """What stands in a row."""
        if path is None:
            return ""
        if path not in self._numbers:
            try:
                data, width, height = small(path, self.most)
            except (OSError, ValueError):
                return "<small>its picture cannot be read</small>"
            number = self._numbers[path] = len(self._numbers)
            size = f"width:{width}px;height:{height}px"
            self._styles.append(
                f".p{number}{{{size};background:url(data:image/webp;base64,{data}) 0/100% 100%}}"
            )
        return f'<div class="p p{self._numbers[path]}" role="img" aria-label="samples"></div>'


def small(path: Path, most: int) -> tuple[str, int, int]:
    """A picture in about ``most`` bytes as base64, and the size that it is shown at."""
    picture = open_png(path).convert("RGB")
    picture.thumbnail((PIXELS, PIXELS))
    size = picture.size
    for share in (1.0, 0.75, 0.5, 0.35):
        side = round(PIXELS * share)
        picture.thumbnail((side, side))
        picture.save(file := io.BytesIO(), "WEBP", quality=72, method=1)
        if file.tell() <= most:
            break
    return base64.b64encode(file.getvalue()).decode(), *size


def write_page(title: str, parts: Sequence[str], output: Path, pictures: Pictures) -> None:
    """Write the parts as one page, whole or not at all."""
    style = f"<style>{STYLE}{pictures.style}</style>"
    page = f"<!doctype html><meta charset=utf-8><title>{title}</title>{style}"
    with atomic_path(output) as temporary:
        temporary.write_text(page + "".join(parts) + "\n", encoding="utf-8")


def note(text: str) -> str:
    """A line in small print."""
    return f"<p><small>{html.escape(text)}</small></p>"


def section(entries: Sequence[Entry], name: str, protocol: str, pictures: Pictures) -> str:
    """A table of the page."""
    rows = "".join(
        f"<tr><td>{place}<td>{html.escape(entry.name)}<br><small>{_names(entry)}</small>"
        f"<td>{cell(entry)}<td>{pictures.cell(entry.picture)}"
        for place, entry in enumerate(entries, start=1)
    )
    head = f"<tr><th>rank<th>runs<th>{html.escape(name)}<th>samples"
    return f"<h2>{html.escape(name)}</h2><table>{head}{rows}</table>{note(protocol)}"


def _names(entry: Entry) -> str:
    return "<br>".join(html.escape(str(run.run.folder)) for run in entry.runs)
