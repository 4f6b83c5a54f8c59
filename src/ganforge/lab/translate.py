"""Translate: photos into the other domain, with a slider that wipes from before to after."""

import asyncio
import io
import zipfile
from functools import partial
from pathlib import PurePath
from typing import Any

from PIL import Image
from torch import Tensor

from ganforge.lab.frame import Desk, RecipeBox, head, told
from ganforge.lab.parts import Bar, Wipe, button, choice, download, dropzone, make, picture
from ganforge.lab.pictures import data_url, opened, pixels, png
from ganforge.lab.recipes import Recipe, line, program
from ganforge.utils.errors import GanforgeError, UserError

MOST_PIXELS, MOST_FILES, SHOWN = 4_000_000, 200, 1024


class Translation:
    """The photos of one browser, and what became of them."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.model = desk, desk.model
        self.way = desk.wanted.get("direction") or self.model.directions[0]
        if self.way not in self.model.directions:
            known = " or ".join(self.model.directions)
            raise UserError(f"direction={self.way} is not learned by {desk.name}: use {known}.")
        shape = self.model.module.input_shape(self.way, self.model.loaded.config.data)
        self.channels = shape[0]
        self.photos: dict[str, Image.Image] = {}
        self.made: dict[str, Tensor] = {}
        self.shown = ""

    def take(self, data: bytes, name: str) -> None:
        """Open a photo, smaller where the page would wait for minutes."""
        image = opened(data, name)
        if image.width * image.height > MOST_PIXELS:
            raise UserError(
                f"{name} has {image.width * image.height / 1e6:.0f} megapixels, and the lab takes "
                f"{MOST_PIXELS / 1e6:.0f}: ganforge translate does larger ones."
            )
        self.photos[name] = image

    def translate(self, name: str) -> Tensor:
        """What became of a photo in the chosen direction."""
        before = pixels(self.photos[name], self.channels)
        return self.model.translate(before[None], self.way)[0]

    def pack(self) -> bytes:
        """All translations in a zip archive."""
        with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
            for name, image in self.made.items():
                archive.writestr(saved_name(name), png(image))
        return buffer.getvalue()

    def recipe(self) -> Recipe:
        """The lines that translate the same."""
        shell = line(
            "translate", self.model.folder, input=self.shown or "PHOTO", output="translated",
            direction=self.way,
        )  # fmt: skip
        mode = "L" if self.channels == 1 else "RGB"
        lines = (
            "from PIL import Image",
            "from torchvision.transforms.functional import pil_to_tensor",
            f"photo = Image.open({self.shown or 'PHOTO'!r}).convert({mode!r})",
            f"image = m.translate(pil_to_tensor(photo)[None], {self.way!r})[0]",
        )
        return Recipe(shell, program(self.model.folder, *lines))


def saved_name(name: str) -> str:
    """What a translation is called."""
    return f"{PurePath(name).stem}.png"


def spoken(way: str) -> str:
    """A direction in words."""
    return way.replace("_to_", " → ").upper()


async def translate(desk: Desk) -> None:
    """The page."""
    work = Translation(desk)
    head(
        "Translate",
        "Give photos, or a folder of them; they stay on this machine. Then wipe between before and "
        f"after. {desk.name}, step {desk.model.step:,}.",
    )

    async def turned(way: str) -> None:
        work.way = way
        work.channels = desk.model.module.input_shape(way, desk.model.loaded.config.data)[0]
        work.made.clear()
        await do(list(work.photos))

    async def taken(files: list[Any]) -> None:
        names, bad = [], []
        for file in files[:MOST_FILES]:
            try:
                data = await file.read()
                await asyncio.to_thread(work.take, data, file.name)
                names.append(file.name)
            except GanforgeError as error:
                bad.append(str(error))
        if len(files) > MOST_FILES:
            bad.append(f"Of {len(files)} files the first {MOST_FILES} are taken.")
        await do(names)
        if bad:
            desk.notice.say(" ".join(bad[:3]) + (f" And {len(bad) - 3} more." if bad[3:] else ""))

    async def do(names: list[str]) -> None:
        desk.notice.say("")
        bar.element.set_visibility(len(names) > 1)
        for number, name in enumerate(names):
            bar.set(number / len(names))
            try:
                work.made[name] = await asyncio.to_thread(work.translate, name)
            except Exception as error:  # noqa: BLE001 - told on the page
                desk.notice.say(told(error))
                break
            if number == 0:
                show(name)
        bar.element.set_visibility(False)
        listed()

    def show(name: str) -> None:
        work.shown = name
        before = pixels(work.photos[name], 3)
        wipe.show(data_url(before, SHOWN), data_url(work.made[name], SHOWN))
        one.set_visibility(True)
        recipes.show(work.recipe())

    def listed() -> None:
        several.set_visibility(len(work.made) > 1)
        row.clear()
        with row:
            for name, image in work.made.items():
                made = make("button", "", "tile", type="button", aria_label=name)
                made.on("click", partial(show, name), args=[])
                with made:
                    picture(data_url(image, 192))

    if len(desk.model.directions) > 1:
        with make("div", "", "panel"), make("div", "", "tools"), make("label", "", "field"):
            make("span", "direction")
            ways = {way: spoken(way) for way in desk.model.directions}
            choice("Direction", ways, work.way, turned)
    dropzone("Choose photos, or drop photos or a folder here", "image/*", desk.notice, taken, True)
    bar = Bar("Translating ...")
    bar.element.set_visibility(False)
    with make("div", "", "panel middle") as one:
        wipe = Wipe("Wipe between before and after")
        with make("div", "", "tools"):
            button("Download PNG", lambda: _save(work))
            several = button("Download all", lambda: download(work.pack(), "translated.zip"))
    one.set_visibility(False)
    several.set_visibility(False)
    row = make("div", "", "strip", role="group", aria_label="Translated photos")
    recipes = RecipeBox()
    recipes.show(work.recipe())


def _save(work: Translation) -> None:
    download(png(work.made[work.shown]), saved_name(work.shown))
