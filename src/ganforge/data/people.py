"""Drawn people with eyes and lips of their own, in any pose and light: DiceBear's 'avataaars'.

An avatar has a dozen eyes to choose from, all black. A person here has eyes that nobody else has:
their size, slant, iris, lashes and lids are drawn from the person's seed, and are the same whether
open or closed, in every picture.
"""

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ganforge.utils.png import open_png
from ganforge.utils.regions import Point

if TYPE_CHECKING:
    from dicebear import Style

CANVAS = 280  # side of the style's own coordinates
EYES = ((114.0, 112.0), (166.0, 112.0))  # centres on the canvas, left and right
MARKS = {"eyes": "0.123", "mouth": "0.456"}  # opacities of empty groups that drawings replace
SHUT = 0.15  # lids less open than this are a line

# The names and values are DiceBear's; the order is that of the draws.
LOOKS: dict[str, tuple[str, ...]] = {
    "skinColor": (
        "ffdbb4", "edb98a", "d08b5b", "ae5d29", "74503f", "f3c9a5", "c68642", "8d5524",
    ),
    "hairColor": ("1f1412", "45240f", "f2cf5b", "c93305", "e8e1e1", "6b4a2b"),
    "clothesColor": ("5199e4", "ff5c5c", "3c8f6e", "ffd166", "8e6bbf", "3c4f5c"),
    "backgroundColor": ("e4edf5", "f5efe4", "e8f3ea", "cfd8e6", "e6d5cf"),
    "topVariant": (
        "shortFlat", "bob", "straight01", "bun", "fro", "curvy", "shortCurly", "theCaesar",
        "dreads01", "shaggyMullet",
    ),
    "clothesVariant": ("shirtCrewNeck", "shirtVNeck", "hoodie"),
    "eyebrowsVariant": (
        "default", "defaultNatural", "raisedExcited", "flatNatural", "unibrowNatural",
    ),
    "accessoriesVariant": ("prescription02", "round"),
    "accessoriesColor": ("14181c", "b3122a", "1d4ea3"),
    "facialHairVariant": ("beardLight", "moustacheFancy"),
}  # fmt: skip
IRISES = ("5b3a1e", "2e5fa3", "3d7a3d", "7a5a20", "5a6b78", "111111", "2aa7a0", "8a4b9e")
SHADOWS = (None, "000000", "7a3f8f", "2f6f9f")
LIPS = ("b5483f", "c9635b", "8e3b46", "d9746c", "a05a4a", "e05070")


@dataclass(frozen=True)
class Mouth:
    """Lips at a moment: ``opening`` and ``teeth`` 0 to 1, ``width`` -1 (round) to 1 (wide)."""

    opening: float
    width: float
    teeth: float


@dataclass(frozen=True)
class Pose:
    """A moment of a person before a camera; ``light`` multiplies red, green and blue."""

    rotate: float
    scale: float
    shift: Point  # percent of the picture
    gaze: Point  # of the irises, on the canvas
    opening: float  # of the lids
    mouth: Mouth
    light: tuple[float, float, float]

    def place(self, x: float, y: float, size: int) -> Point:
        """Where a point of the canvas lies in a picture of ``size`` pixels."""
        middle, percent = CANVAS / 2, CANVAS / 100
        turn = self.scale * complex(
            math.cos(math.radians(self.rotate)), math.sin(math.radians(self.rotate))
        )
        placed = turn * complex(x - middle, y - middle) + complex(middle, middle)
        placed += percent * complex(*self.shift)
        return placed.real * size / CANVAS, placed.imag * size / CANVAS

    def eyes(self, size: int) -> tuple[Point, Point]:
        """The eye on the picture's left, and that on its right."""
        left, right = (self.place(x, y, size) for x, y in EYES)
        return left, right


def random_pose(rng: np.random.Generator) -> Pose:
    """Another angle, distance, light, gaze and mouth."""
    rotate, scale = rng.uniform(-10, 10), rng.uniform(1.5, 1.75)
    shift = (rng.uniform(-3, 3), rng.uniform(4, 9))
    gaze = (rng.uniform(-1.5, 1.5), rng.uniform(-0.8, 0.8))
    opening = rng.uniform(0.8, 1.05)
    mouth = Mouth(rng.choice([0.0, 0.0, 0.3, 0.7]), rng.uniform(-0.6, 1), rng.uniform(0, 1))
    red, green, blue = rng.uniform(0.72, 1.12) * rng.uniform(0.94, 1.06, 3)
    return Pose(rotate, scale, shift, gaze, opening, mouth, (red, green, blue))


class Person:
    """Who is drawn: everything follows from the seed."""

    def __init__(self, seed: str) -> None:
        # Bytes, not hash(): Python salts the hash of a string anew in every process.
        rng = np.random.default_rng(list(seed.encode()))
        self._options: dict[str, Any] = {
            name: [str(rng.choice(values))] for name, values in LOOKS.items()
        }
        self._options |= {
            "seed": seed,
            "facialHairColor": self._options["hairColor"],
            "accessoriesProbability": 100 if rng.random() < 0.3 else 0,
            "facialHairProbability": 100 if rng.random() < 0.25 else 0,
        }
        self._iris, self._lip = str(rng.choice(IRISES)), str(rng.choice(LIPS))
        self._shadow = SHADOWS[rng.integers(len(SHADOWS))]
        self._eye_width, self._eye_height = rng.uniform(9, 13.5), rng.uniform(5.5, 9.5)
        self._iris_radius, self._slant = rng.uniform(4.2, 6.2), rng.uniform(-12, 12)
        self._lash, self._lip_width = rng.uniform(0.8, 2.6), rng.uniform(1.8, 4.2)
        self._mouth_width = rng.uniform(0.85, 1.15)

    def draw(
        self, pose: Pose, size: int, opening: float | None = None, mouth: Mouth | None = None
    ) -> Image.Image:
        """The person as RGB of ``size`` pixels a side; ``opening`` 0 closes the eyes."""
        import resvg_py
        from dicebear import Avatar

        options = {
            "size": size,
            "rotate": pose.rotate,
            "scale": pose.scale,
            "translateX": pose.shift[0],
            "translateY": pose.shift[1],
            **self._options,
        }
        svg = Avatar(_style(), options).to_string()
        eyes = self._eyes(pose.opening if opening is None else opening, pose.gaze)
        parts = {"eyes": eyes, "mouth": self._mouth(mouth or pose.mouth)}
        for part, drawn in parts.items():
            svg = svg.replace(f'<g opacity="{MARKS[part]}"/>', drawn)
        png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
        lit = np.asarray(open_png(bytes(png)).convert("RGB")) * np.array(pose.light, np.float32)
        return Image.fromarray(lit.round().clip(0, 255).astype(np.uint8))

    def _eyes(self, opening: float, gaze: Point) -> str:
        return "".join(self._eye(x, side, opening, gaze) for x, side in ((16, -1), (68, 1)))

    def _eye(self, x: float, side: int, opening: float, gaze: Point) -> str:
        """One eye around (x, 14) of the style's 84 by 36 units for eyes."""
        y, w, h = 14, self._eye_width, self._eye_height
        left, right, line = x - w, x + w, 'stroke="black" stroke-linecap="round"'
        parts = []
        if self._shadow is not None:
            parts.append(
                f'<path d="M{left - 1} {y}Q{x} {y - 2.3 * h - 2} {right + 1} {y}Z" '
                f'fill="#{self._shadow}" fill-opacity=".28"/>'
            )
        if opening < SHUT:
            parts.append(
                f'<path d="M{left} {y + 1}Q{x} {y + 1 + 1.1 * h} {right} {y + 1}" {line} '
                f'stroke-opacity=".75" stroke-width="{self._lash + 1.2}"/>'
            )
        else:
            h *= opening
            upper, radius = f"M{left} {y}Q{x} {y - 2 * h} {right} {y}", min(self._iris_radius, h)
            place = f'cx="{x + gaze[0]}" cy="{y + gaze[1]}"'
            parts.append(
                f'<path d="{upper}Q{x} {y + 2 * h} {left} {y}Z" fill="white"/>'
                f'<circle {place} r="{radius}" fill="#{self._iris}"/>'
                f'<circle {place} r="{0.45 * radius}" fill="black"/>'
                f'<path d="{upper}" {line} stroke-opacity=".8" stroke-width="{self._lash}"/>'
            )
        turn = f"rotate({side * self._slant} {x} {y})"
        return f'<g transform="{turn}">{"".join(parts)}</g>'

    def _mouth(self, mouth: Mouth) -> str:
        """Lips around (46, 16) of the style's 92 by 40 units for a mouth."""
        x, y = 46, 16
        w, h = (15 + 8 * mouth.width) * self._mouth_width, 0.6 + 11 * mouth.opening
        outline = (
            f"M{x - w} {y}C{x - w / 2} {y - 1.15 * h} {x + w / 2} {y - 1.15 * h} {x + w} {y}"
            f"C{x + w / 2} {y + 1.3 * h} {x - w / 2} {y + 1.3 * h} {x - w} {y}Z"
        )
        inside = []
        if mouth.opening > 0.12:
            inside.append(
                f'<ellipse cx="{x}" cy="{y + 1.05 * h}" rx="{0.6 * w}" ry="{0.45 * h}" '
                'fill="#d9606a"/>'
            )
        if mouth.teeth > 0.05:
            height = max(0.5, 0.28 * h + 2.4 * mouth.teeth)
            inside.append(
                f'<rect x="{x - w}" y="{y - h}" width="{2 * w}" height="{height}" fill="white"/>'
            )
        lips = self._lip_width * (1.15 - 0.35 * mouth.width)
        return (
            f'<clipPath id="lips"><path d="{outline}"/></clipPath>'
            f'<path d="{outline}" fill="#3a0f12"/><g clip-path="url(#lips)">{"".join(inside)}</g>'
            f'<path d="{outline}" stroke="#{self._lip}" stroke-width="{lips}" '
            'stroke-linejoin="round"/>'
        )


@cache
def _style() -> "Style":
    """The style with one kind of eyes and mouth, which are empty: a person's own take their place.

    To make a style takes half a second, an avatar of it a millisecond.
    """
    from dicebear import Style

    text = (resources.files("dicebear_styles") / "avataaars.json").read_text(encoding="utf-8")
    definition = json.loads(text)
    for part, opacity in MARKS.items():
        group = {"name": "g", "type": "element", "attributes": {"opacity": opacity}}
        definition["components"][part]["variants"] = {"own": {"elements": [group]}}
    return Style(definition)
