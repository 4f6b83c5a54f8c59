"""Arithmetic: pictures dragged onto A − B + C, and what comes of it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nicegui import background_tasks, ui
from nicegui.element import Element
from torch import Tensor

from ganforge.lab.edit import spaces
from ganforge.lab.frame import Desk, RecipeBox, head, told
from ganforge.lab.instruments import Instruments, spelled
from ganforge.lab.parts import View, button, download, make, picture
from ganforge.lab.parts import field as entry
from ganforge.lab.pictures import data_url, png
from ganforge.lab.recipes import Recipe, call, line, program
from ganforge.lab.samples import Tile
from ganforge.latent.arithmetic import expected

SIGNS = {"A": "", "B": "−", "C": "+"}
EACH, SHOWN, NEAREST = 6, 30, 4  # pictures of a place, of the strip, and of the training data
DRAG = "(event) => event.dataTransfer.setData('text/plain', '{seed}')"
DROP = "(event) => emit(event.dataTransfer.getData('text/plain'))"


@dataclass
class Place:
    """One of A, B and C: the seeds whose mean stands there, and what shows them."""

    name: str
    seeds: list[int] = field(default_factory=list)
    shot: Any = None
    words: Any = None


async def strip(
    desk: Desk, first: int, label: int | None, take: Callable[[int], Any]
) -> list[Element]:
    """Pictures of seeds in a row, to be dragged or taken by a click or with the keyboard."""
    made = []
    images = await asyncio.to_thread(desk.model.sample, SHOWN, first, None, label)
    urls = [data_url(image, 192) for image in images]
    with make("div", "", "strip wraps", role="group", aria_label="Pictures to take"):
        for seed, url in enumerate(urls, start=first):
            tile = Tile(seed, url, take)
            tile.element.props["draggable"] = "true"
            tile.image.props["draggable"] = "false"
            tile.element.on("dragstart", js_handler=DRAG.format(seed=seed))
            made.append(tile.element)
    return made


def class_of(desk: Desk) -> int | None:
    """The class that a page of a conditional model works in."""
    count = desk.model.module.num_classes
    return None if count is None else desk.number("class", 0, count - 1)


class Sum:
    """A − B + C of means of latents, put where latents lie."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.model, self.label = desk, desk.model, class_of(desk)
        self.name = spaces(self.model)[0]
        self.space = self.model.space(self.name, self.label)
        self.places = {name: Place(name) for name in SIGNS}

    def mean(self, seeds: Sequence[int]) -> Tensor:
        """The mean latent of seeds, ``1×D``."""
        return self.space.latents(seeds).mean(0, keepdim=True)

    def operand(self, seeds: Sequence[int]) -> Tensor:
        """The picture of a place: of one seed its own, of several that of their mean."""
        mean = self.mean(seeds)
        return self.space.decode(mean if len(seeds) == 1 else self.space.prior.stretch(mean))[0]

    def latent(self, seeds: Sequence[Sequence[int]]) -> Tensor:
        """The latent of the result."""
        a, b, c = map(self.mean, seeds)
        return self.space.prior.stretch(a - b + c)

    def draw(self, seeds: Sequence[Sequence[int]]) -> Tensor:
        """The picture of the result."""
        return self.space.decode(self.latent(seeds))[0]

    def seeds(self) -> list[list[int]]:
        """The seeds of A, B and C."""
        return [list(place.seeds) for place in self.places.values()]

    def recipe(self) -> Recipe:
        """The lines that add the same."""
        a, b, c = self.seeds()
        own = self.name if self.name != "z" else None
        shell = line(
            "explore", self.model.folder, tool="arithmetic", class_=self.label, space=own,
            **{"tool.a": a, "tool.b": b, "tool.c": c},
        )  # fmt: skip
        explored = call("m.explore", "arithmetic", a=a, b=b, c=c, label=self.label, space=own)
        return Recipe(shell, program(self.model.folder, f"{explored}.save('sum')"))


async def arithmetic(desk: Desk) -> None:
    """The page."""
    added = Sum(desk)
    first = desk.number("seed", 0)
    head(
        "Arithmetic",
        "Drag pictures onto A, B and C, or choose a place and click pictures. Several in one place "
        "are averaged, which makes what they share stronger.",
    )
    chosen = ["A"]

    def choose(name: str) -> None:
        chosen[0] = name
        for place in added.places.values():
            on = place.name == name
            place.shot.classes(add="chosen") if on else place.shot.classes(remove="chosen")
            place.shot.props["aria-pressed"] = "true" if on else "false"

    def put(name: str, seed: int) -> None:
        place = added.places[name]
        if seed in place.seeds or len(place.seeds) >= EACH:
            return
        place.seeds.append(seed)
        _show(added, place)
        if len(place.seeds) == 1:  # the next place that has nothing yet
            empty = [p.name for p in added.places.values() if not p.seeds]
            choose(empty[0] if empty else name)
        changed()

    def clear(name: str) -> None:
        added.places[name].seeds.clear()
        _show(added, added.places[name])
        choose(name)

    with make("div", "", "panel"):
        with make("div", "", "sum"):
            for name, sign in SIGNS.items():
                if sign:
                    make("div", sign, "sign wrap" if name == "C" else "sign", aria_hidden="true")
                _place(added.places[name], sign, choose, put, clear)
            make("div", "=", "sign", aria_hidden="true")
            with make("div", "", "slot"):
                view = View(added.draw, desk.notice, "Result of A minus B plus C")
                make("span", "result")
                with make("div", "", "tools"):
                    button("Download PNG", partial(_save, view))
        verdict = make("p", "", "verdict", role="status")
    with make("div", "", "panel"):
        with make("div", "", "tools"):
            entry("first seed", str(first), lambda t: _go(desk, t))
            make("span", "Pictures to drag: one a seed.", "soft")
        await strip(desk, first, added.label, lambda seed: put(chosen[0], seed))
    with make("div", "", "panel"):
        make("h2", "Nearest training images")
        make(
            "p",
            "Was it learned, or remembered? The training images that look most like the result.",
            "soft",
        )
        near = make("div", "", "strip")
        with make("div", "", "tools"):
            button("Find them", lambda: _nearest(desk, added, view, near))
    recipes = RecipeBox()

    def changed() -> None:
        if all(place.seeds for place in added.places.values()):
            view.ask(added.seeds())
            recipes.show(added.recipe())

    view.changed.callbacks.append(lambda: _judge(desk, added, view, verdict))
    choose("A")


def _go(desk: Desk, text: str) -> None:
    seed = text if text.isdecimal() else 0
    ui.navigate.to(desk.address(seed=seed, class_=desk.wanted.get("class")))


def _place(place: Place, sign: str, choose: Any, put: Any, clear: Any) -> None:
    with make("div", "", "slot"):
        spoken = f"Place {place.name}: choose it, then pictures"
        place.shot = make(
            "button", "", "shot", type="button", aria_label=spoken, aria_pressed="false"
        )
        place.shot.on("click", lambda: choose(place.name), args=[])
        place.shot.on("dragover.prevent", js_handler="() => {}")
        place.shot.on("drop.prevent", lambda e: _dropped(e, place, put), js_handler=DROP)
        with place.shot:
            make("span", f"{sign} {place.name}")
        place.words = make("span", place.name)
        button("Clear", lambda: clear(place.name), aria_label=f"Clear {place.name}")


def _dropped(event: Any, place: Place, put: Any) -> None:
    text = str(event.args)
    if text.isdecimal() and int(text) < 2**31:
        put(place.name, int(text))


def _show(added: Sum, place: Place) -> None:
    """Show the mean of a place's seeds, or that it waits for one."""
    place.shot.clear()
    with place.shot:
        if place.seeds:
            picture(data_url(added.operand(place.seeds)), f"Mean of seeds {place.seeds}")
        else:
            make("span", f"{SIGNS[place.name]} {place.name}")
    listed = ", ".join(map(str, place.seeds))
    place.words.set_text(f"{place.name}: {listed}" if listed else place.name)


def _judge(desk: Desk, added: Sum, view: View, verdict: Any) -> None:
    """Say whether the result has what the sum says that it should have, if that can be read."""

    async def judge() -> None:
        try:
            hit, words = await asyncio.to_thread(_verdict, desk, added, view.last)
        except Exception as error:  # noqa: BLE001 - told on the page
            desk.notice.say(told(error))
            return
        verdict.set_text(words)
        verdict.classes(remove="hit miss", add="" if hit is None else "hit" if hit else "miss")

    background_tasks.create(judge())


def _verdict(desk: Desk, added: Sum, result: Tensor) -> tuple[bool | None, str]:
    tools: Instruments = desk.lab.instruments(desk.model)
    space = tools.space(added.name, added.label)
    operands = map(added.operand, added.seeds())
    read = [tools.read(space, image[None]) for image in (*operands, result)]
    if not all(read):
        return None, ""
    a, b, c, found = (queries[0] for queries in read)
    wanted = expected(a, b, c)
    changed = {name: value for name, value in wanted.items() if a[name] != b[name]}
    if not changed:
        return None, "A and B differ in nothing that the classifier knows."
    names = space.names
    missed = {name: value for name, value in changed.items() if found[name] != value}
    if missed:
        kept = {name: found[name] for name in missed}
        return False, f"Miss: expected {spelled(missed, names)}, found {spelled(kept, names)}."
    return True, f"Hit: {spelled(changed, names)}, as the sum says."


def _save(view: View) -> None:
    if view.last is not None:
        download(png(view.last), "sum.png")


async def _nearest(desk: Desk, added: Sum, view: View, near: Element) -> None:
    if view.last is None:
        desk.notice.say("Put pictures onto A, B and C first.", info=True)
        return
    desk.notice.say("Looking through the training images ...", info=True)
    tools = desk.lab.instruments(desk.model)
    try:
        space = await asyncio.to_thread(tools.space, added.name, added.label)
        found = await asyncio.to_thread(tools.nearest, space, view.last, NEAREST)
    except Exception as error:  # noqa: BLE001 - told on the page
        desk.notice.say(told(error))
        return
    desk.notice.say("")
    near.clear()
    with near:
        for number, image in enumerate(found, start=1):
            picture(data_url(image), f"Training image, the nearest but {number - 1}")
