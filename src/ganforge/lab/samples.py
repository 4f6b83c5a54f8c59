"""Samples: a wall of pictures, one a seed, more on scrolling; a click takes one to be edited."""

import re
from typing import Any

from nicegui import ui
from nicegui.element import Element

from ganforge.lab.frame import Desk, RecipeBox, head
from ganforge.lab.newest import Newest
from ganforge.lab.parts import button, choice, field, make, picture, slide
from ganforge.lab.pictures import data_url
from ganforge.lab.recipes import Recipe, call, line, program

AT_ONCE, MOST = 36, 1800  # pictures at a time, and on one page
THUMBNAIL = 192  # pixels
NO_TRUNCATION = 2.0  # the slider's right end


class Choice:
    """What a page asks a generator for beside seeds: a truncation and a class."""

    def __init__(self, desk: Desk, changed: Any) -> None:
        self.desk, self.changed = desk, changed
        text = desk.wanted.get("truncation", "")
        plain = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text)
        self.truncation = (float(text) or None) if plain else None
        self.label = desk.wanted.get("class") or None

    def truncation_slider(self) -> None:
        """From typical to varied pictures; at the right end nothing is cut off."""
        with make("label", "", "field"):
            make("span", "truncation")
            slide(
                "Truncation", 0.1, NO_TRUNCATION, 0.05, self.truncation or NO_TRUNCATION, self._cut
            )
            self.words = make("output", self._said())

    def class_menu(self) -> None:
        """Classes of a conditional model."""
        count = self.desk.model.module.num_classes
        if count is None:
            return
        names = self.desk.model.classes or [str(number) for number in range(count)]
        options = {"": "any", **{str(i): name for i, name in enumerate(names)}}
        with make("label", "", "field"):
            make("span", "class")
            choice("Class", options, self.label or "", self._classed)

    def _said(self) -> str:
        return "off" if self.truncation is None else f"{self.truncation:g}"

    def _cut(self, value: float) -> None:
        self.truncation = None if value >= NO_TRUNCATION else max(0.05, round(value, 2))
        self.words.set_text(self._said())
        self.changed()

    def _classed(self, value: str) -> None:
        self.label = value or None
        self.changed()


class Wall:
    """Pictures of consecutive seeds; ``take`` is told which one was chosen."""

    def __init__(self, desk: Desk, choice: Choice, first: int, take: Any) -> None:
        self.desk, self.choice, self.first, self.take = desk, choice, first, take
        self.images: list[Element] = []
        self.element = make("div", "", "wall", role="group", aria_label="Pictures by seed")
        self.newest: Newest[Any, Any] = Newest(self._draw, self._show, desk.notice.say)
        self.element.client.on_delete(self.newest.close)

    def draw(self) -> None:
        """Draw all seeds that are shown, as they are wanted now."""
        wanted = (self.first, max(AT_ONCE, len(self.images)), self.choice.truncation)
        self.newest.ask((*wanted, self.choice.label, 0))

    def more(self) -> None:
        """Draw the next seeds behind the last ones."""
        if self.newest.idle_now and self.images and len(self.images) < MOST:
            shown = len(self.images)
            self.newest.ask(
                (self.first + shown, AT_ONCE, self.choice.truncation, self.choice.label, shown)
            )

    def _draw(self, wish: tuple[int, int, float | None, str | None, int]) -> Any:
        first, count, truncation, label, place = wish
        images = self.desk.model.sample(count, first, truncation, label)
        return place, first, [data_url(image, THUMBNAIL) for image in images]

    def _show(self, made: tuple[int, int, list[str]]) -> None:
        place, first, urls = made
        self.desk.notice.say("")
        with self.element:
            for number, url in enumerate(urls, start=place):
                seed = first + number - place
                if number < len(self.images):
                    tile = self.images[number]
                    tile.image.props["src"] = url
                    if tile.seed != seed:
                        tile.name(seed)
                else:
                    self.images.append(Tile(seed, url, self.take))


class Tile:
    """One picture of a wall."""

    def __init__(self, seed: int, url: str, take: Any) -> None:
        self.seed = seed
        with make("button", "", "tile", type="button") as self.element:
            self.image = picture(url)
            self.words = make("small", "")
        self.element.on("click", lambda: take(self.seed), args=[])
        self.name(seed)

    def name(self, seed: int) -> None:
        """Say whose picture it is."""
        self.seed = seed
        self.element.props["aria-label"] = f"Seed {seed}"
        self.words.set_text(f"seed {seed}")


async def samples(desk: Desk) -> None:
    """The page."""
    model = desk.model
    first = desk.number("seed", 0)
    head(
        "Samples",
        f"Each seed is a picture, for ever the same. Click one to work on it. "
        f"{desk.name}, step {model.step:,}.",
    )

    def changed() -> None:
        wall.draw()
        recipes.show(_recipe(desk, wall))

    def start_at(text: str) -> None:
        wall.first = int(text) if text.isdecimal() and int(text) < 2**31 else 0
        changed()

    chosen = Choice(desk, changed)
    with make("div", "", "panel"), make("div", "", "tools"):
        chosen.truncation_slider()
        chosen.class_menu()
        field("first seed", str(first), start_at)

    def take(seed: int) -> None:
        settings = {"truncation": chosen.truncation, "class_": chosen.label}
        ui.navigate.to(desk.address("edit", seed=seed, **settings))

    wall = Wall(desk, chosen, first, take)
    crisp = model.loaded.config.data.shape[-1] <= 32
    wall.element.classes(add="crisp" if crisp else "")
    with make("div", "", "tools"):
        button("More pictures", wall.more)
    end = ui.element("q-intersection").style("height: 1px; width: 100%").props("aria-hidden=true")
    end.on("visibility", lambda e: wall.more() if e.args else None)
    recipes = RecipeBox()
    changed()


def _recipe(desk: Desk, wall: Wall) -> Recipe:
    settings = {"truncation": wall.choice.truncation}
    count = max(AT_ONCE, len(wall.images))
    folder, label = desk.model.folder, wall.choice.label
    shell = line("generate", folder, n=count, seed=wall.first, class_=label, **settings)
    label = int(label) if label is not None else None
    sample = call("m.sample", count, seed=wall.first, label=label, **settings)
    return Recipe(shell, program(folder, f"images = {sample}"))
