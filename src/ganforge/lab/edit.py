"""Edit: one picture moved along directions of latent space, a slider for each."""

import asyncio
import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

from nicegui import background_tasks, ui
from nicegui.element import Element
from torch import Tensor

from ganforge.api.directions import Direction, moved
from ganforge.api.models import LatentSpace, TrainedGenerator
from ganforge.lab.frame import Desk, RecipeBox, head, told
from ganforge.lab.parts import (
    Bar,
    View,
    button,
    choice,
    download,
    field,
    hold_button,
    link,
    make,
    slide,
    with_progress,
)
from ganforge.lab.pictures import png
from ganforge.lab.recipes import Recipe, call, line, program
from ganforge.lab.samples import Choice
from ganforge.trained.latents import labels_of_seeds
from ganforge.utils.errors import UserError

REACH, SHOWN_EFFECTS = 3.0, 3
GROUPS = {
    "labels": "Attributes",
    "ganspace": "Principal components of activations (GANSpace)",
    "sefa": "What the first layer amplifies (SeFa)",
}


def spaces(model: TrainedGenerator) -> list[str]:
    """The names of a generator's spaces, the one that is edited in first."""
    label = None if model.module.num_classes is None else 0
    return list(model.module.spaces(label))[::-1]


class Edited:
    """A picture's latent, and how far it is moved along each direction."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.model = desk, desk.model
        self.seed = desk.number("seed", 0)
        self.names = spaces(self.model)
        self.space_name = desk.wanted.get("space") or self.names[0]
        self.key = desk.wanted.get("latent", "")
        self.choice = Choice(desk, lambda: None)
        self.label = self._label()
        self.space: LatentSpace = self.model.space(self.space_name, self.label)
        self.moves: dict[str, float] = {}
        self.known: Mapping[str, Direction] = {}

    def _label(self) -> int | None:
        """The chosen class, else the one that the seed has of itself."""
        module, label = self.model.module, self.choice.label
        if module.num_classes is None:
            return None
        if label is not None:
            return int(label) if label.isdecimal() else None
        return int(labels_of_seeds(module, [self.seed])[0])

    def start(self) -> Tensor:
        """The latent that was not moved yet."""
        if self.key:
            if self.key not in self.desk.lab.latents:
                raise UserError("The lab has forgotten this picture: find it again.")
            return self.desk.lab.latents[self.key]
        latents = self.space.latents([self.seed])
        cut = self.choice.truncation
        return latents if cut is None else self.space.prior.truncate(latents, cut)

    def latent(self, moves: Mapping[str, float]) -> Tensor:
        """The latent as it is moved."""
        return moved(self.start(), moves, self.known, self.space.prior)

    def draw(self, moves: Mapping[str, float]) -> Tensor:
        """The picture, uint8 ``C×H×W``."""
        return self.space.decode(self.latent(moves))[0]

    def recipe(self) -> Recipe:
        """The lines that make the picture."""
        folder = self.model.folder
        if self.key:
            return Recipe("", "")
        own = self.space_name if len(self.names) > 1 else None
        settings = {"truncation": self.choice.truncation, "space": own}
        shell = line(
            "generate", folder, n=1, seed=self.seed, edit=self.moves, class_=self.label, **settings
        )
        edit = call("m.edit", [self.seed], self.moves, label=self.label, **settings)
        return Recipe(shell, program(folder, f"image = {edit}[0]"))


async def edit(desk: Desk) -> None:
    """The page."""
    edited = Edited(desk)
    model = edited.model
    await asyncio.to_thread(edited.start)
    what = "The photo that was found" if edited.key else f"Seed {edited.seed}"
    head("Edit", f"{what} of {desk.name}. Move a slider and watch; hold the button to compare.")
    with make("div", "", "panel"), make("div", "", "tools"):
        if not edited.key:
            field("seed", str(edited.seed), lambda t: _go(desk, seed=t if t.isdecimal() else 0))
            button("Another one", lambda: _go(desk, seed=secrets.randbelow(100_000)))
        if len(edited.names) > 1 and not edited.key:
            with make("label", "", "field"):
                make("span", "latent space")
                options = {name: name for name in edited.names}
                choice("Latent space", options, edited.space_name, lambda n: _go(desk, space=n))
        if model.module.num_classes is not None:
            names = model.classes or [str(i) for i in range(model.module.num_classes)]
            with make("label", "", "field"):
                make("span", "class")
                options = {str(i): name for i, name in enumerate(names)}
                choice("Class", options, str(edited.label), lambda n: _go(desk, class_=n))
        link("All samples", desk.address("samples"))
    with make("div", "", "stage"):
        with make("div", "", "panel view"):
            crisp = model.loaded.config.data.shape[-1] <= 32
            view = View(edited.draw, desk.notice, f"{what}, edited", crisp)
            with make("div", "", "tools"):
                hold_button(view)
                button("Reset", lambda: _reset(edited, ranges, changed))
                button("Download PNG", partial(_save, view, edited))
        with make("div", "", "panel") as side:
            bar = Bar(
                "Finding directions, once: samples are drawn and their attributes read, "
                "then it is kept in the run."
            )
    recipes, ranges = RecipeBox(), []

    def changed() -> None:
        view.ask(dict(edited.moves))

    view.changed.callbacks.append(lambda: recipes.show(edited.recipe()))

    changed()
    view.changed.callbacks.append(partial(_first_is_before, view))
    background_tasks.create(_find(desk, edited, side, bar, changed, ranges), context=side)


def _go(desk: Desk, **changes: Any) -> None:
    kept = {k: desk.wanted.get(k) for k in ("seed", "truncation", "class", "space")}
    changes = {key.rstrip("_"): value for key, value in changes.items()}
    ui.navigate.to(desk.address("edit", **{**kept, **changes}))


def _first_is_before(view: View) -> None:
    if "src" not in view.before.props:
        view.keep_before()


def _save(view: View, edited: Edited) -> None:
    if view.last is not None:
        name = "found" if edited.key else f"seed_{edited.seed:06d}"
        download(png(view.last), f"{name}{'_edited' if edited.moves else ''}.png")


async def _find(
    desk: Desk, edited: Edited, side: Element, bar: Bar, changed: Any, ranges: list[Any]
) -> None:
    """Show a slider for each direction when they are known."""
    model, label = edited.model, edited.label
    try:
        edited.known = await with_progress(
            bar, lambda told: model.directions(edited.space_name, label, told)
        )
    except Exception as error:  # noqa: BLE001 - told on the page
        side.clear()
        desk.notice.say(told(error))
        return
    if side.is_deleted:
        return
    side.clear()
    with side:
        ranges += _sliders(edited, changed)


def _reset(edited: Edited, ranges: list[tuple[Element, Element]], changed: Any) -> None:
    edited.moves.clear()
    for place, output in ranges:
        output.set_text("0")
        ui.run_javascript(f"document.getElementById('c{place.id}').value = 0")
    changed()


def _sliders(edited: Edited, changed: Any) -> list[tuple[Element, Element]]:
    made: list[tuple[Element, Element]] = []
    attributes = any(d.effects for d in edited.known.values())
    if attributes:
        make(
            "p",
            "The bars beside a slider say what it moves: its own attribute, and what comes along.",
            "soft",
        )
    folded = "labels" in {d.method for d in edited.known.values()}
    for method, title in GROUPS.items():
        group = [d for d in edited.known.values() if d.method == method]
        if not group:
            continue
        if method == "labels":
            place = make("section", "", "slides")
        else:
            place = make("details", "", "slides", open=None if folded else "")
        with place:
            make("h2" if method == "labels" else "summary", title)
            made += [_slider(edited, direction, changed) for direction in group]
    return made


def _slider(edited: Edited, direction: Direction, changed: Any) -> tuple[Element, Element]:
    name, _, values = direction.words.partition(": ")
    spoken = " ".join(direction.words.replace("→", "to").replace("_", " ").split())

    def move(value: float) -> None:
        edited.moves.pop(direction.name, None)
        if value:
            edited.moves[direction.name] = round(max(-REACH, min(REACH, value)), 2)
        output.set_text(f"{value:+g}" if value else "0")
        changed()

    with make("div", "", "slide"):
        with make("span", name.replace("_", " "), "name"):
            if values:
                make("small", values.replace("_", " "))
        place = slide(spoken, -REACH, REACH, 0.1, 0, move)
        output = make("output", "0")
        _effects(direction)
    return place, output


def _effects(direction: Direction) -> None:
    """The attributes that a direction moves most, as bars."""
    strongest = sorted(direction.effects.items(), key=lambda each: -each[1])[:SHOWN_EFFECTS]
    most = max((amount for _, amount in strongest), default=0)
    words = ", ".join(f"{name} {amount:.1f}" for name, amount in strongest)
    spoken = f"moves {words}".replace("_", " ") if strongest else None
    with make("div", "", "effects", role="img" if spoken else None, aria_label=spoken):
        for name, amount in strongest:
            own = "effect own" if name == direction.name else "effect"
            with make("span", "", own):
                make("span", name.replace("_", " "))
                make("i").style(f"width: {100 * amount / (most or 1):.0f}%")
