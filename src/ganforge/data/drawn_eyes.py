"""Eyes of drawn people, open and closed, under several lights, poses and gazes."""

from collections.abc import Iterator, Sequence
from functools import partial
from importlib import metadata
from typing import Any

import numpy as np

from ganforge.data.avatars import person
from ganforge.data.parallel import map_chunks
from ganforge.data.people import Person, random_pose
from ganforge.data.regions import ATTRIBUTES, CLOSED, OPEN
from ganforge.data.source import SPLITS, Chunk, Names, check_size
from ganforge.data.windows import cut
from ganforge.utils.errors import UserError
from ganforge.utils.regions import Placement, Region

VERSION = 1  # raise it when the same options give other windows
PICTURE = 4 / 3  # side of the drawn picture, in widths of the window that is cut out of it


class DrawnEyes:
    """Windows around the eyes of drawn people: ``pictures`` of each, with eyes open and closed.

    No person is in both splits. What is labelled is what ``RegionDataModule`` asks for.
    """

    label = None

    def __init__(
        self,
        region: Region,
        train_count: int = 6000,
        test_count: int = 400,
        pictures: int = 2,
        seed: int = 0,
        workers: int | None = None,
    ) -> None:
        if min(train_count, test_count) < 2 or pictures < 2:
            raise UserError(
                f"Eyes of {train_count} and {test_count} people in {pictures} pictures each are "
                "too few: there must be 2 people in each split and 2 pictures of each."
            )
        self._counts = dict(zip(SPLITS, (train_count, test_count), strict=True))
        self._region, self._pictures, self._seed = region, pictures, seed
        self._workers = workers

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes at which eyes cannot be told, and grey."""
        check_size("Windows around eyes", size, 16, 1024)
        if channels != 3:
            raise UserError("Drawn people are in colour: leave data.channels at 3.")

    def key(self) -> dict[str, Any]:
        """Return what decides the windows, with the versions of what draws them."""
        packages = ("dicebear-core", "dicebear-styles", "resvg-py")
        region = self._region
        return {
            "drawn_eyes": VERSION,
            "packages": {name: metadata.version(name) for name in packages},
            "window": [[list(anchor) for anchor in region.anchors], region.aspect],
            "counts": self._counts,
            "pictures": self._pictures,
            "seed": self._seed,
        }

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:  # noqa: ARG002
        """Draw the people of ``split`` in a pool of processes."""
        people = [person(split, self._seed, i) for i in range(self._counts[split])]
        draw = partial(_draw_many, self._region, size, self._pictures)
        start = 0
        for images in map_chunks(draw, people, f"drawing {split} eyes", self._workers):
            who = start + np.arange(len(images)) // (2 * self._pictures)
            picture = self._pictures * start + np.arange(len(images)) // 2
            eyes = np.tile([OPEN, CLOSED], len(images) // 2)
            yield Chunk(images, attributes=np.stack([who, picture, eyes], axis=1))
            start = int(who[-1]) + 1

    def names(self) -> Names:
        """Return the columns; people and pictures are numbered."""
        return Names(attributes=ATTRIBUTES)


def _draw_many(region: Region, width: int, pictures: int, seeds: Sequence[str]) -> np.ndarray:
    """Windows of people, ``n×3×H×W``: of each picture one with open eyes, then one with closed."""
    side, windows = round(PICTURE * width), []
    for seed in seeds:
        drawn = Person(seed)
        # Bytes, as the person's: the poses are another stream of the same seed.
        rng = np.random.default_rng([*seed.encode(), 1])
        for _ in range(pictures):
            pose = random_pose(rng)
            placement = Placement.of(region, *pose.eyes(side))
            for opening in (None, 0.0):
                face = drawn.draw(pose, side, opening)
                windows.append(cut(face, placement, region.shape(width)))
    return np.stack(windows)
