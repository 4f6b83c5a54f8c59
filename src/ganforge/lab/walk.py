"""Walk: key frames from the wall, a scrubber between them, and the film to take away."""

import asyncio
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from nicegui import ui
from torch import Tensor

from ganforge.lab.arithmetic import class_of, strip
from ganforge.lab.edit import spaces
from ganforge.lab.frame import Desk, RecipeBox, head, told
from ganforge.lab.parts import View, button, download, field, make, picture, slide
from ganforge.lab.pictures import data_url, png
from ganforge.lab.recipes import Recipe, call, line, program
from ganforge.latent.walk import Walk, between
from ganforge.report.findings import Exploration, check_film
from ganforge.trained.space import build_space
from ganforge.utils.errors import UserError

MOST, FRAMES, SECONDS = 12, 24, 0.08


class Route:
    """The seeds that are walked through, and the latents between them."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.model, self.label = desk, desk.model, class_of(desk)
        self.name = spaces(self.model)[0]
        self.space = self.model.space(self.name, self.label)
        listed = [text for text in desk.wanted.get("seeds", "").split(",") if text.isdecimal()]
        self.seeds = [min(int(text), 2**31) for text in listed][:MOST]

    def draw(self, at: float) -> Tensor:
        """The picture at a place of the walk."""
        keys = self.space.latents(self.seeds)
        return self.space.decode(between(self.space.prior, keys, at))[0]

    def film(self, kind: str) -> bytes:
        """The film as a file's bytes."""
        check_film(kind)
        if len(self.seeds) < 2:
            raise UserError("A walk leads through at least two pictures: take another one.")
        built = build_space(self.model.loaded, None, name=self.name, label=self.label)
        found = Walk(self.seeds, FRAMES)(built)
        with tempfile.TemporaryDirectory() as folder:
            Exploration(found, {}).save(folder, kind)
            return (Path(folder) / f"walk.{kind}").read_bytes()

    def recipe(self) -> Recipe:
        """The lines that make the film."""
        own = self.name if self.name != "z" else None
        shell = line(
            "explore", self.model.folder, tool="walk", class_=self.label, space=own,
            **{"tool.seeds": self.seeds},
        )  # fmt: skip
        walked = call("m.explore", "walk", seeds=self.seeds, label=self.label, space=own)
        return Recipe(shell, program(self.model.folder, f"{walked}.save('walk')"))


async def walk(desk: Desk) -> None:
    """The page."""
    route = Route(desk)
    first = desk.number("seed", 0)
    head("Walk", "Take pictures as stops, then move from one to the next, or let it play.")
    place = [0.0]
    with make("div", "", "stage"):
        with make("div", "", "panel view"):
            view = View(route.draw, desk.notice, "The picture at this place of the walk")
            scrubber = slide("Place of the walk", 0, 1, 0.001, 0, lambda value: at(value))
            with make("div", "", "tools"):
                playing = button("Play", lambda: play())
                button("GIF", lambda: _film(desk, route, "gif"))
                button("MP4", lambda: _film(desk, route, "mp4"))
                button("PNG", lambda: _save(view))
        with make("div", "", "panel"):
            make("h2", "Stops")
            stops = make(
                "div", "", "strip", role="group", aria_label="Stops; click one to leave it out"
            )
            with make("div", "", "tools"):
                field("first seed", str(first), lambda t: _go(desk, route, t))
                make("span", "Click pictures to walk through them, in this order.", "soft")
            await strip(desk, first, route.label, lambda seed: add(seed))
    recipes = RecipeBox()

    def at(value: float) -> None:
        place[0] = value
        if route.seeds:
            view.ask(value * (len(route.seeds) - 1))

    def add(seed: int) -> None:
        if len(route.seeds) >= MOST:
            desk.notice.say(f"A walk has at most {MOST} stops: leave one out first.", info=True)
            return
        route.seeds.append(seed)
        changed()

    def leave(number: int) -> None:
        del route.seeds[number]
        changed()

    def changed() -> None:
        stops.clear()
        with stops:
            for number, seed in enumerate(route.seeds):
                spoken = f"Stop {number + 1}, seed {seed}: leave it out"
                made = make("button", "", "tile", type="button", aria_label=spoken)
                made.on("click", partial(leave, number), args=[])
                with made:
                    latent = route.space.latents([seed])
                    picture(data_url(route.space.decode(latent)[0], 192))
        recipes.show(route.recipe() if len(route.seeds) > 1 else Recipe())
        at(place[0])

    def play() -> None:
        timer.active = not timer.active
        playing.set_text("Stop" if timer.active else "Play")

    def onward() -> None:
        if len(route.seeds) > 1:
            value = (place[0] + SECONDS / (1.6 * (len(route.seeds) - 1))) % 1
            ui.run_javascript(f"document.getElementById('c{scrubber.id}').value = {value}")
            at(value)

    timer = ui.timer(SECONDS, onward, active=False)
    if not route.seeds:
        route.seeds = [first, first + 1, first + 2]
    changed()


def _go(desk: Desk, route: Route, text: str) -> None:
    seeds = ",".join(map(str, route.seeds))
    seed = text if text.isdecimal() else 0
    ui.navigate.to(desk.address(seed=seed, seeds=seeds, class_=desk.wanted.get("class")))


def _save(view: View) -> None:
    if view.last is not None:
        download(png(view.last), "walk.png")


async def _film(desk: Desk, route: Route, kind: str) -> None:
    desk.notice.say("Drawing the film ...", info=True)
    try:
        data: Any = await asyncio.to_thread(route.film, kind)
    except Exception as error:  # noqa: BLE001 - told on the page
        desk.notice.say(told(error))
        return
    desk.notice.say("")
    download(data, f"walk.{kind}")
