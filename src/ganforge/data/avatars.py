"""Labelled faces drawn on the spot: DiceBear's 'avataaars' (Pablo Stanley), rendered by resvg."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ganforge.data.parallel import map_chunks
from ganforge.data.source import SPLITS, Chunk, Names, check_size
from ganforge.utils.errors import UserError
from ganforge.utils.png import open_png

if TYPE_CHECKING:
    from dicebear import Style

VERSION = 1  # raise it when the faces change
SIZES = (16, 256)

# One DiceBear option set per value. Every value is chosen to be told apart at 32×32.
ATTRIBUTES: dict[str, dict[str, dict[str, Any]]] = {
    "glasses": {
        "none": {"accessoriesProbability": 0},
        "glasses": {"accessoriesProbability": 100},
    },
    "eyes": {
        "open": {"eyesVariant": ["default"]},
        "closed": {"eyesVariant": ["closed"]},
        "wink": {"eyesVariant": ["wink"]},
        "surprised": {"eyesVariant": ["surprised"]},
    },
    "mouth": {
        "smile": {"mouthVariant": ["smile"]},
        "serious": {"mouthVariant": ["serious"]},
        "open": {"mouthVariant": ["screamOpen"]},
        "grimace": {"mouthVariant": ["grimace"]},
    },
    "facial_hair": {
        "none": {"facialHairProbability": 0},
        "beard": {"facialHairProbability": 100, "facialHairVariant": ["beardMajestic"]},
    },
    "hair": {
        "bald": {"topProbability": 0},
        "short": {"topVariant": ["shortFlat"]},
        "bob": {"topVariant": ["bob"]},
        "long": {"topVariant": ["straight01"]},
        "bun": {"topVariant": ["bun"]},
        "afro": {"topVariant": ["fro"]},
    },
    "skin": {
        "pale": {"skinColor": ["ffdbb4"]},
        "light": {"skinColor": ["edb98a"]},
        "tan": {"skinColor": ["d08b5b"]},
        "brown": {"skinColor": ["ae5d29"]},
        "dark": {"skinColor": ["74503f"]},
    },
    "rotation": {
        "left": {"rotate": -16},
        "none": {"rotate": 0},
        "right": {"rotate": 16},
    },
}

# What else makes a person: drawn from the seed, never labelled. No hair colour equals a skin.
# The names and values are DiceBear's; the order is that of the draws.
DETAILS = {
    "hairColor": ("1f1412", "45240f", "f2cf5b", "c93305", "e8e1e1"),
    "clothesColor": ("5199e4", "ff5c5c", "3c8f6e", "ffd166", "8e6bbf", "3c4f5c"),
    "backgroundColor": ("e4edf5", "f5efe4", "e8f3ea"),
    "clothesVariant": ("shirtCrewNeck", "shirtVNeck", "hoodie", "collarAndSweater"),
    "eyebrowsVariant": ("default", "defaultNatural", "raisedExcited"),
    "accessoriesVariant": ("prescription02", "round"),
    "accessoriesColor": ("14181c", "b3122a", "1d4ea3"),
}


class Avatars:
    """``train_count`` and ``test_count`` faces whose attributes are balanced and independent."""

    def __init__(
        self,
        train_count: int = 8000,
        test_count: int = 2000,
        seed: int = 0,
        label: str = "glasses",
        workers: int | None = None,
    ) -> None:
        if label not in ATTRIBUTES:
            raise UserError(
                f"data.source.label is '{label}', which no avatar has: "
                f"choose one of {', '.join(ATTRIBUTES)}."
            )
        self._counts = dict(zip(SPLITS, (train_count, test_count), strict=True))
        for split, count in self._counts.items():
            if count < 1:
                raise UserError(f"data.source.{split}_count is {count}: it must be at least 1.")
        self.label, self.seed, self._workers = label, seed, workers

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes at which the faces cannot be drawn or recognised."""
        del channels  # grey faces are as good as coloured ones
        check_size("Avatars", size, *SIZES)

    def key(self) -> dict[str, Any]:
        """Return counts, seed and the versions of what draws the faces."""
        packages = ("dicebear-core", "dicebear-styles", "resvg-py")
        return {
            "avatars": VERSION,
            "packages": {name: metadata.version(name) for name in packages},
            "counts": self._counts,
            "seed": self.seed,
        }

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:
        """Render the faces of ``split`` in a pool of processes."""
        attributes = self._attributes(split)
        people = [(person(split, self.seed, i), row.tolist()) for i, row in enumerate(attributes)]
        draw = partial(_render_many, size, channels)
        start = 0
        for images in map_chunks(draw, people, f"rendering {split} faces", self._workers):
            yield Chunk(images, attributes=attributes[start : start + len(images)])
            start += len(images)

    def names(self) -> Names:
        """Return the values of each attribute."""
        return Names(attributes={name: list(values) for name, values in ATTRIBUTES.items()})

    def _attributes(self, split: str) -> np.ndarray:
        """Draw ``N×A`` values: each attribute equally often, shuffled on its own."""
        count = self._counts[split]
        rng = np.random.default_rng([self.seed, SPLITS.index(split)])
        columns = [rng.permutation(np.arange(count) % len(v)) for v in ATTRIBUTES.values()]
        return np.stack(columns, axis=1)


def person(split: str, data_seed: int, index: int) -> str:
    """Return the seed of the ``index``-th person: no person is in both splits."""
    return f"{data_seed}-{split}-{index}"


def render(seed: str | int, size: int, **attributes: str) -> np.ndarray:
    """Draw one face as uint8 ``3×size×size``.

    The same seed is the same person, and an attribute that is not given is drawn from the seed:
    ``render(7, 64, glasses="glasses")`` and ``render(7, 64, glasses="none")`` differ in that alone.
    """
    check_size("Avatars", size, *SIZES)
    for name, value in attributes.items():
        if value not in ATTRIBUTES.get(name, {}):
            known = ATTRIBUTES.get(name, ATTRIBUTES)
            what = f"{name}={value}" if name in ATTRIBUTES else f"attribute '{name}'"
            raise UserError(f"Avatars have no {what}: choose one of {', '.join(known)}.")
    return draw(str(seed), size, attributes, {})


def draw(
    seed: str, size: int, attributes: Mapping[str, str], details: Mapping[str, str]
) -> np.ndarray:
    """Draw the person ``seed``; ``attributes`` and ``details`` (of ``DETAILS``) are decided."""
    import resvg_py
    from dicebear import Avatar

    # Bytes, not hash(): Python salts the hash of a string anew in every process.
    rng = np.random.default_rng(list(seed.encode()))
    options = _person_options(rng, details)
    for name, values in ATTRIBUTES.items():
        drawn = list(values)[rng.integers(len(values))]
        options |= values[attributes.get(name, drawn)]
    svg = Avatar(_style(), {"seed": seed, "size": size, **options}).to_string()
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    return np.asarray(open_png(bytes(png)).convert("RGB")).transpose(2, 0, 1)


def _person_options(rng: np.random.Generator, details: Mapping[str, str]) -> dict[str, Any]:
    """Draw every detail, those too that ``details`` then decides: the others stay as they are."""
    options = {name: [str(rng.choice(values))] for name, values in DETAILS.items()}
    options |= {name: [value] for name, value in details.items()}
    options["facialHairColor"] = options["hairColor"]
    # Large enough that a rotated body still reaches the lower corners.
    return options | {"scale": round(float(rng.uniform(1.22, 1.3)), 3), "translateY": 5}


def _render_many(
    size: int, channels: int, people: Sequence[tuple[str, Sequence[int]]]
) -> np.ndarray:
    """Draw faces, each given as (seed, value numbers), as uint8 ``n×C×H×W``."""
    images = np.empty((len(people), channels, size, size), np.uint8)
    for image, (seed, row) in zip(images, people, strict=True):
        chosen = {
            name: list(values)[number]
            for (name, values), number in zip(ATTRIBUTES.items(), row, strict=True)
        }
        face = draw(seed, size, chosen, {})
        image[:] = face if channels == 3 else _grey(face)
    return images


def _grey(face: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(face.transpose(1, 2, 0)).convert("L"))


@cache
def _style() -> "Style":
    from dicebear import Style

    definition = resources.files("dicebear_styles") / "avataaars.json"
    return Style(json.loads(definition.read_text(encoding="utf-8")))
