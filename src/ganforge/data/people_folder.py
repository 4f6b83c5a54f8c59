"""Windows around the eyes of real people, from a folder of photos sorted by person."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ganforge.data.decode import BROKEN, flatten, open_picture, reason
from ganforge.data.faces import FaceFinder, finder_of
from ganforge.data.listing import Listing, list_images
from ganforge.data.parallel import map_chunks
from ganforge.data.regions import ATTRIBUTES, CLOSED, OPEN
from ganforge.data.source import Chunk, Names, check_size
from ganforge.data.windows import cut
from ganforge.utils.errors import UserError
from ganforge.utils.regions import Placement, Region

VERSION = 1  # raise it when the same photos give other windows
OPEN_FROM, CLOSED_BELOW = 0.4, 0.3  # chances of a judge; what lies between is left out
UNKNOWN = -1  # neither open nor closed


class Judge(Protocol):
    """Tells open eyes from closed ones."""

    def chance(self, windows: Tensor, anchors: Sequence[Sequence[float]]) -> Tensor:
        """The chance ``N`` that the eyes of uint8 windows, at ``anchors``, are open."""
        ...

    def key(self) -> dict[str, Any]:
        """JSON facts that decide the answer."""
        ...


class PeopleFolder:
    """Windows of the largest face of each photo in a folder or zip archive.

    A photo's person is its folder, or, where photos lie in one folder, its name up to the number:
    ``Ann_Lee_0001.jpg`` and ``Ann_Lee_0002.jpg`` are of one person. People of whom there is one
    photo are left out. ``test_count`` people, drawn by ``seed``, are the test split.

    Args:
        finder: finds the eyes; ``landmarks`` names a table that replaces it.
        judge: tells which eyes are open; None: all are.
        pictures: most photos of a person that are taken, the first by name.

    """

    label = None

    def __init__(
        self,
        path: Path | str,
        region: Region,
        finder: FaceFinder | None = None,
        landmarks: Path | str | None = None,
        judge: Judge | None = None,
        test_count: int = 150,
        pictures: int = 4,
        seed: int = 0,
        workers: int | None = None,
    ) -> None:
        if test_count < 2 or pictures < 2:
            raise UserError(
                f"{test_count} test people and {pictures} pictures of each are too few: set "
                "data.source.test_count and data.source.pictures to 2 at least."
            )
        self._path, self._region = path, region
        self._finder = finder_of(finder, landmarks)
        self._judge, self._test_count, self._pictures = judge, test_count, pictures
        self._seed, self._workers = seed, workers
        self._skipped: list[str] = []

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes at which eyes cannot be told."""
        del channels
        check_size("Windows around eyes", size, 16, 1024)

    def key(self) -> dict[str, Any]:
        """Return the options, a digest of the files, and what finds and judges the eyes."""
        region = self._region
        return {
            "people_folder": VERSION,
            "files": self._listing.digest,
            "window": [[list(anchor) for anchor in region.anchors], region.aspect],
            "finder": self._finder.key(),
            "judge": self._judge.key() if self._judge else None,
            "test_count": self._test_count,
            "pictures": self._pictures,
            "seed": self._seed,
        }

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:
        """Find, cut out and judge the eyes of the people of ``split``."""
        people = self._splits[split]
        photos = [(number, name) for number, who in enumerate(people) for name in self._people[who]]
        listing, names = self._listing, [name for _, name in photos]
        work = partial(_find_many, listing, self._finder, self._judge, self._region, size, channels)
        start = 0
        for found in map_chunks(work, names, f"finding {split} eyes", self._workers):
            rows = found.rows + start
            who = np.array([photos[row][0] for row in rows], np.int64)
            start += len(found.eyes)
            self._skipped += found.skipped
            if len(rows):
                yield Chunk(
                    found.images, attributes=np.stack([who, rows, found.eyes[found.kept]], 1)
                )

    def names(self) -> Names:
        """Return the columns and the photos without eyes; people and pictures are numbered."""
        return Names(attributes=ATTRIBUTES, skipped=self._skipped)

    @cached_property
    def _listing(self) -> Listing:
        return list_images(self._path)

    @cached_property
    def _people(self) -> dict[str, list[str]]:
        """The photos of everyone of whom there are two or more, at most ``pictures``."""
        found = defaultdict(list)
        for name, who in zip(self._listing.names, people_of(self._listing.names), strict=True):
            found[who].append(name)
        return {who: names[: self._pictures] for who, names in found.items() if len(names) > 1}

    @cached_property
    def _splits(self) -> dict[str, list[str]]:
        people = sorted(self._people)
        if len(people) < self._test_count + 2:
            raise UserError(
                f"'{self._path}' has {len(people)} people with two photos or more, too few for "
                f"{self._test_count} test people and 2 to train on: photos lie in folders named by "
                "person, or are called like Ann_Lee_0001.jpg; or lower data.source.test_count."
            )
        order = np.random.default_rng(self._seed).permutation(len(people)).tolist()
        test, train = order[: self._test_count], order[self._test_count :]
        return {"train": [people[i] for i in train], "test": [people[i] for i in test]}


def people_of(names: Sequence[str]) -> list[str]:
    """Who is on each photo: its folder; where there is one folder alone, the name of the file."""
    paths = [PurePosixPath(name) for name in names]
    if len({path.parent for path in paths}) > 1:
        return [str(path.parent) for path in paths]
    return [re.sub(r"(?<=[^\d_ -])[_ -]*\d+$", "", path.stem) for path in paths]


@dataclass(frozen=True)
class Found:
    """Of some photos the windows with eyes; ``eyes`` has a state for every photo."""

    images: np.ndarray
    eyes: np.ndarray
    skipped: list[str]

    @property
    def kept(self) -> np.ndarray:
        """Which photos have a window."""
        return self.eyes != UNKNOWN

    @property
    def rows(self) -> np.ndarray:
        """Their numbers."""
        return np.flatnonzero(self.kept)


def _find_many(
    listing: Listing,
    finder: FaceFinder,
    judge: Judge | None,
    region: Region,
    width: int,
    channels: int,
    names: Sequence[str],
) -> Found:
    windows, rows, skipped = [], [], []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # there is a process for each core
    try:
        for row, name in enumerate(names):
            try:
                image = flatten(open_picture(listing.read(name)), 3)
            except BROKEN as error:
                skipped.append(f"{name} ({reason(error)})")
                continue
            faces = finder(name, image)
            if not faces:
                skipped.append(f"{name} (no face was found)")
                continue
            placement = Placement.of(region, faces[0].left, faces[0].right)
            window = cut(flatten(image, channels), placement, region.shape(width))
            windows.append(window)
            rows.append(row)
        shape = (0, channels, *region.shape(width))
        images = np.stack(windows) if windows else np.empty(shape, np.uint8)
        eyes = np.full(len(names), UNKNOWN)
        state = np.full(len(rows), OPEN)
        if judge is not None and rows:
            chance = judge.chance(torch.from_numpy(images), region.anchors).numpy()
            state = np.where(
                chance >= OPEN_FROM, OPEN, np.where(chance < CLOSED_BELOW, CLOSED, UNKNOWN)
            )
        eyes[rows] = state
        return Found(images[state != UNKNOWN], eyes, skipped)
    finally:
        torch.set_num_threads(threads)
