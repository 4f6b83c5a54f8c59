"""What all pages share: the head with its links, the choice of a run, and sentences of errors."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from nicegui import ui

from ganforge.api.models import Trained, TrainedGenerator, TrainedTranslator
from ganforge.data.faces import FaceFinder
from ganforge.lab.instruments import Instruments
from ganforge.lab.parts import Notice, choice, copy_block, link, make
from ganforge.lab.recipes import Recipe
from ganforge.lab.shelf import Shelf
from ganforge.models.region import RegionTranslator
from ganforge.utils.errors import GanforgeError, UserError

log = logging.getLogger(__name__)
GENERATOR = ("samples", "edit", "arithmetic", "walk", "project")
TITLES = {
    "samples": "Samples",
    "edit": "Edit",
    "arithmetic": "Arithmetic",
    "walk": "Walk",
    "project": "Project",
    "translate": "Translate",
    "retouch": "Retouch",
    "runs": "Runs",
}


@dataclass(frozen=True)
class Lab:
    """What all pages work on."""

    shelf: Shelf
    finder: Callable[[], FaceFinder]
    data_path: str | None = None
    latents: dict[str, Any] = field(default_factory=dict)  # found by projection, by a name
    _instruments: dict[int, Instruments] = field(default_factory=dict)

    def instruments(self, model: TrainedGenerator) -> Instruments:
        """What reads pictures beside a generator; the same for all pages."""
        return self._instruments.setdefault(id(model), Instruments(model, self.data_path))


@dataclass
class Desk:
    """One page in one browser: the lab, what the address asks for, and the model of it."""

    lab: Lab
    page: str
    wanted: dict[str, str]
    name: str
    notice: Notice
    model: Any = None
    told: str = ""

    def number(self, key: str, otherwise: int, most: int = 2**31) -> int:
        """A whole number of the address; anything else is a UserError."""
        text = self.wanted.get(key, "")
        if not text:
            return otherwise
        if not text.isdecimal() or int(text) > most:
            raise UserError(f"{key}={text} is no whole number up to {most}.")
        return int(text)

    def address(self, page: str | None = None, **changes: Any) -> str:
        """The address of a page of the same run; values that are None are left out."""
        query = {"run": self.name, **changes}
        given = {key.rstrip("_"): v for key, v in query.items() if v not in (None, "")}
        return f"/{page or self.page}?{urlencode(given)}"


def pages_of(model: Trained | None) -> tuple[str, ...]:
    """The pages that a model has something for."""
    if isinstance(model, TrainedGenerator):
        return (*GENERATOR, "runs")
    if isinstance(model, TrainedTranslator):
        retouches = isinstance(model.module, RegionTranslator)
        return ("retouch" if retouches else "translate", "runs")
    return ("runs",)


Build = Callable[[Desk], Awaitable[None]]


async def open_page(lab: Lab, page: str, request: Request, build: Build) -> None:
    """Lay out a page; whatever it cannot show is said in a sentence on it."""
    wanted = dict(request.query_params)
    ui.page_title(f"{TITLES[page]} · ganforge lab")
    header = ui.header()
    notice = Notice()
    desk = Desk(lab, page, wanted, wanted.get("run", ""), notice)
    sentence = ""
    try:
        desk.name = desk.name or await asyncio.to_thread(lab.shelf.default)
        desk.model = await asyncio.to_thread(lab.shelf.model, desk.name)
    except Exception as error:  # noqa: BLE001 - told on the page
        desk.told = sentence = told(error)
    names = await asyncio.to_thread(lambda: list(lab.shelf.folders()))
    with header:
        _head(desk, names)
    if page != "runs" and (sentence or page not in pages_of(desk.model)):
        make("h1", TITLES[page])
        other = f"{desk.name} holds a model of another kind: choose one of the pages above."
        notice.say(sentence or other)
        return
    try:
        await build(desk)
    except Exception as error:  # noqa: BLE001 - told on the page
        notice.say(told(error))


def told(error: Exception) -> str:
    """An error as a sentence; what is not the user's is in the terminal as well."""
    if isinstance(error, GanforgeError):
        return str(error)
    log.error("a page failed", exc_info=error)
    reason = (str(error).splitlines() or [""])[0]
    return f"This failed ({type(error).__name__}: {reason}). The terminal of the lab has more."


def _head(desk: Desk, names: list[str]) -> None:
    with make("div", "", "bar"):
        with make("a", "", "brand", href="/"):
            make("span", "ganforge ")
            make("b", "lab")
        with make("nav", "", "pages", aria_label="Pages"):
            for page in pages_of(desk.model):
                here = "page" if page == desk.page else None
                link(TITLES[page], desk.address(page), "", aria_current=here)
        if names:
            options = {name: name for name in names}
            if desk.name not in options:
                options = {"": "choose a run", **options}
            choice("Run", options, desk.name, lambda n: ui.navigate.to(f"/?{run_query(n)}"))


def run_query(name: str) -> str:
    """What an address says of a run."""
    return urlencode({"run": name})


def head(title: str, lead: str) -> None:
    """The title of a page and what one does on it."""
    with make("div", "", "head"):
        make("h1", title)
        make("p", lead, "lead")


class RecipeBox:
    """Folded lines to paste; they follow what the page shows."""

    def __init__(self) -> None:
        with make("details", "", "recipe"):
            make("summary", "Copy as command, or as Python")
            self.shell = copy_block("command")
            self.python = copy_block("Python lines")

    def show(self, recipe: Recipe) -> None:
        """Show the lines of another picture."""
        for code, text in ((self.shell, recipe.shell), (self.python, recipe.python)):
            code.set_text(text)
            code.parent_slot.parent.set_visibility(bool(text))
