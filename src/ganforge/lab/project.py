"""Project: a photo is looked for among all pictures of a generator, and one watches."""

import asyncio
import secrets
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ganforge.config.build import build
from ganforge.config.compose import compose_in_place
from ganforge.lab.arithmetic import class_of
from ganforge.lab.edit import spaces
from ganforge.lab.frame import Desk, RecipeBox, head, told
from ganforge.lab.parts import Bar, View, download, dropzone, link, make, picture, with_progress
from ganforge.lab.parts import button as press
from ganforge.lab.pictures import data_url, opened, pixels, png
from ganforge.lab.recipes import Recipe, call, line, program
from ganforge.trained.space import fitted
from ganforge.utils.errors import UserError

STEPS, CANDIDATES, KEPT = 200, 500, 50  # of the search, and pictures that are remembered


class Search:
    """The search for one photo after the other."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.model, self.label = desk, desk.model, class_of(desk)
        self.name = spaces(self.model)[0]
        self.busy = False
        self.space = self.model.space(self.name, self.label)

    def target(self, data: bytes, name: str) -> Tensor:
        """A photo as the generator could make it: its central square, in its size."""
        shape = self.model.loaded.config.data.shape
        return pixels(fitted(opened(data, name), shape[-1]), shape[0])

    def run(self, target: Tensor, watch: Any) -> dict[str, Any]:
        """Search, telling ``watch`` of each step and its latent; what ``tool=projection`` finds."""
        tools = self.desk.lab.instruments(self.model)
        space = tools.space(self.name, self.label)
        space = replace(space, open_image=lambda path: target)  # noqa: ARG005
        settings = compose_in_place("explore", ["tool=projection"]).tool
        tool = build(settings, images=["photo"], steps=STEPS, candidates=CANDIDATES, watch=watch)
        return tool(space).numbers

    def recipe(self, name: str) -> Recipe:
        """The lines that find the same."""
        own = self.name if self.name != "z" else None
        settings = {"steps": STEPS, "candidates": CANDIDATES}
        shell = line(
            "explore", self.model.folder, tool="projection", class_=self.label, space=own,
            **{"tool.images": [name], **{f"tool.{k}": v for k, v in settings.items()}},
        )  # fmt: skip
        found = call(
            "m.explore", "projection", images=[name], label=self.label, space=own, **settings
        )
        decoded = "image = m.decode(torch.tensor(found.numbers['z']))"
        lines = program(self.model.folder, f"found = {found}", "found.save('found')")
        if self.name == "z" and self.label is None:
            lines = "import torch\n" + lines + f"\n{decoded}"
        return Recipe(shell, lines)


async def project(desk: Desk) -> None:
    """The page."""
    search = Search(desk)
    head(
        "Project",
        "Give a photo. The picture of this model that looks most like it is searched for; then it "
        "can be edited as any other. The photo stays on this machine.",
    )

    async def taken(files: list[Any]) -> None:
        if search.busy:
            desk.notice.say("One photo is being looked for: wait until it is found.", info=True)
            return
        search.busy = True
        try:
            await _find(desk, search, files[0], parts)
        except Exception as error:  # noqa: BLE001 - told on the page
            parts["bar"].element.set_visibility(False)
            desk.notice.say(told(error))
        finally:
            search.busy = False

    dropzone("Choose a photo, or drop one here", "image/*", desk.notice, taken)
    bar = Bar("Looking for it ...")
    bar.element.set_visibility(False)
    with make("div", "", "grid2"):
        with make("div", "", "panel"):
            make("h2", "Photo")
            with make("div", "", "frame"):
                photo = picture(alt="The photo that is looked for")
        with make("div", "", "panel"):
            make("h2", "Found")
            view = View(
                lambda z: search.space.decode(z)[0], desk.notice, "The nearest picture so far"
            )
            tools = make("div", "", "tools")
    words = make("p", "", "soft", role="status")
    parts = {
        "photo": photo, "view": view, "tools": tools, "bar": bar, "words": words,
        "recipes": RecipeBox(),
    }  # fmt: skip


async def _find(desk: Desk, search: Search, file: Any, parts: dict[str, Any]) -> None:
    data = await file.read()
    target = await asyncio.to_thread(search.target, data, file.name)
    parts["photo"].props["src"] = data_url(target)
    parts["tools"].clear()
    parts["words"].set_text("")
    bar, view, loop = parts["bar"], parts["view"], asyncio.get_running_loop()
    bar.set(0)
    bar.element.set_visibility(True)

    def work(tell: Any) -> dict[str, Any]:
        def watch(step: int, z: Tensor) -> None:
            if view.newest.closed:
                raise UserError("The page was left.")
            tell(step / STEPS)
            loop.call_soon_threadsafe(view.ask, z.detach().cpu().clone())

        return search.run(target, watch)

    numbers = await with_progress(bar, work)
    if view.newest.closed:
        return
    bar.element.set_visibility(False)
    latent, key = numbers["z"], secrets.token_hex(8)
    view.ask(torch.tensor(latent))
    kept = desk.lab.latents
    kept[key] = torch.tensor(latent)
    while len(kept) > KEPT:
        kept.pop(next(iter(kept)))
    parts["words"].set_text(
        f"Perceptual distance {numbers['distance']:.4f}, {numbers['reduction']:.0%} less than that "
        f"of the best of {CANDIDATES} samples."
    )
    parts["recipes"].show(search.recipe(file.name))
    with parts["tools"]:
        place = desk.address("edit", latent=key, space=search.name, class_=desk.wanted.get("class"))
        link("Edit it", place, "btn main")
        press("Download PNG", lambda: download(png(view.last), "found.png"))
