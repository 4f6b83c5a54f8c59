"""Drawn faces as domains of translation: one thing about them decided, or another style."""

import json
from collections.abc import Iterator, Sequence
from functools import cache, partial
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ganforge.data.avatars import ATTRIBUTES, DETAILS, draw, person
from ganforge.data.avatars import VERSION as FACES
from ganforge.data.parallel import map_chunks
from ganforge.data.source import Chunk, Names, check_size
from ganforge.utils.errors import UserError
from ganforge.utils.png import open_png

if TYPE_CHECKING:
    from dicebear import Style

VERSION = 1  # raise it when the same options give other faces
OWN_STYLE = "avataaars"


class AvatarDomain:
    """Faces of ``style`` whose ``attributes`` are decided; all else is drawn from the person.

    ``details`` decides more: options of DiceBear that are not attributes, such as
    ``{accessoriesColor: 14181c}``, which makes all glasses black.

    Training shows no person on both sides. The test split of the other side of the same ``seed``
    holds the same people, so that two domains of ``avataaars`` know the truth about each other.
    """

    label = None

    def __init__(
        self,
        side: Literal["a", "b"],
        attributes: dict[str, str] | None = None,
        details: dict[str, str] | None = None,
        style: str = OWN_STYLE,
        train_count: int = 4000,
        test_count: int = 500,
        seed: int = 0,
        workers: int | None = None,
    ) -> None:
        attributes, details = dict(attributes or {}), dict(details or {})
        _check(style, attributes, details)
        if side not in ("a", "b"):
            raise UserError(f"The side of a domain is a or b, not '{side}'.")
        if min(train_count, test_count) < 1:
            raise UserError(
                f"A domain of {train_count} training and {test_count} test faces is impossible: "
                "each count must be at least 1."
            )
        self._side, self._style = side, style
        self._attributes, self._details = attributes, details
        self._counts, self.seed = {"train": train_count, "test": test_count}, seed
        self._workers = workers

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes at which the faces cannot be drawn, and grey."""
        check_size("Avatars", size, 16, 256)
        if channels != 3:
            raise UserError("Faces of a domain are in colour: leave data.channels at 3.")

    def key(self) -> dict[str, Any]:
        """Return what decides the faces, with the versions of what draws them."""
        packages = ("dicebear-core", "dicebear-styles", "resvg-py")
        return {
            "avatar_domain": [VERSION, FACES],
            "packages": {name: metadata.version(name) for name in packages},
            "side": self._side,
            "attributes": self._attributes,
            "details": self._details,
            "style": self._style,
            "counts": self._counts,
            "seed": self.seed,
        }

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:  # noqa: ARG002
        """Render the faces of ``split`` in a pool of processes."""
        draw = partial(_draw_many, self._style, self._attributes, self._details, size)
        what = f"rendering {split} faces {self._side.upper()}"
        for images in map_chunks(draw, self._people(split), what, self._workers):
            yield Chunk(images)

    def names(self) -> Names:
        """Return nothing: a domain is one class."""
        return Names()

    def _people(self, split: str) -> list[str]:
        count = self._counts[split]
        if split == "test":
            return [person(split, self.seed, i) for i in range(count)]
        offset = 0 if self._side == "a" else 1
        return [person(split, self.seed, 2 * i + offset) for i in range(count)]


def _check(style: str, attributes: dict[str, str], details: dict[str, str]) -> None:
    if style != OWN_STYLE:
        if attributes or details:
            raise UserError(f"Only {OWN_STYLE} has attributes to decide; '{style}' has none.")
        if style not in _styles():
            raise UserError(f"There is no style '{style}': choose one of {', '.join(_styles())}.")
    for name, value in attributes.items():
        if value not in ATTRIBUTES.get(name, {}):
            known = [f"{n}={v}" for n, values in ATTRIBUTES.items() for v in values]
            raise UserError(f"Avatars have no {name}={value}: choose from {', '.join(known)}.")
    for name, value in details.items():
        if name not in DETAILS:
            raise UserError(f"Avatars have no detail {name}: choose from {', '.join(DETAILS)}.")
        if value not in DETAILS[name]:
            known = ", ".join(DETAILS[name])
            raise UserError(f"Avatars have no {name}={value}: choose from {known}.")


def _draw_many(
    style: str,
    attributes: dict[str, str],
    details: dict[str, str],
    size: int,
    people: Sequence[str],
) -> np.ndarray:
    if style == OWN_STYLE:
        return np.stack([draw(seed, size, attributes, details) for seed in people])
    return np.stack([_render_style(style, seed, size) for seed in people])


def _render_style(name: str, seed: str, size: int) -> np.ndarray:
    import resvg_py
    from dicebear import Avatar

    options = {"seed": seed, "size": size, "backgroundColor": ["e4edf5"]}
    svg = Avatar(_style(name), options).to_string()
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    return np.asarray(open_png(bytes(png)).convert("RGB")).transpose(2, 0, 1)


@cache
def _style(name: str) -> "Style":
    from dicebear import Style

    definition = resources.files("dicebear_styles") / f"{name}.json"
    return Style(json.loads(definition.read_text(encoding="utf-8")))


def _styles() -> list[str]:
    folder = resources.files("dicebear_styles")
    return sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".json"))
