"""Windows around the mouths of people who speak, from a folder of films with sound."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganforge.data.faces import FaceFinder, finder_of
from ganforge.data.film import SUFFIXES, energies, open_film, read_sound, refuse_silence
from ganforge.data.parallel import map_chunks
from ganforge.data.people_folder import people_of
from ganforge.data.regions import ATTRIBUTES, QUIET, SPEAKING
from ganforge.data.sound import BANDS, COLUMNS, RATE, Sounds, frame_times, sound_pictures
from ganforge.data.source import Chunk, Names, check_size
from ganforge.data.windows import cut
from ganforge.utils.errors import GanforgeError, UserError
from ganforge.utils.regions import Placement, Region

VERSION = 1  # raise it when the same films give other windows


@dataclass(frozen=True)
class Spoken:
    """What was found in one film: windows ``n×C×H×W``, sounds ``n×1×32×32``, states ``n``."""

    windows: np.ndarray
    sounds: np.ndarray
    states: np.ndarray
    problem: str = ""


class TalkingFolder:
    """Windows of the largest face in ``frames`` frames, evenly spaced, of each film in a folder.

    The quietest of them is the exemplar of the others. A film's person is its folder, or, where all
    lie in one folder, its name up to the number; ``test_count`` people are the test split.
    """

    label = None

    def __init__(
        self,
        path: Path | str,
        region: Region,
        finder: FaceFinder | None = None,
        landmarks: Path | str | None = None,
        test_count: int = 2,
        frames: int = 100,
        seed: int = 0,
    ) -> None:
        finder = finder_of(finder, landmarks)
        if test_count < 2 or frames < 2:
            raise UserError(
                f"{test_count} test people with {frames} frames a film are too few: set "
                "data.source.test_count and data.source.frames to 2 at least."
            )
        self._path, self._region, self._finder = Path(path).expanduser(), region, finder
        self._test_count, self._frames, self._seed = test_count, frames, seed
        self._kept: dict[tuple[str, int, int], list[tuple[int, Spoken]]] = {}

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes at which lips cannot be told, and grey."""
        check_size("Windows around mouths", size, 16, 1024)
        if channels != 3:
            raise UserError("Films are in colour: leave data.channels at 3.")

    def key(self) -> dict[str, Any]:
        """Return the options, a digest of the files, and what finds the eyes."""
        region = self._region
        stats = ((name, path.stat()) for name, path in self._files.items())
        lines = "\n".join(f"{name}\0{s.st_size}\0{s.st_mtime_ns}" for name, s in stats)
        return {
            "talking_folder": VERSION,
            "files": hashlib.sha256(
                "\n".join(lines).encode("utf-8", "surrogateescape")
            ).hexdigest(),
            "window": [[list(anchor) for anchor in region.anchors], region.aspect],
            "finder": self._finder.key(),
            "test_count": self._test_count,
            "frames": self._frames,
            "seed": self._seed,
        }

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:
        """Yield the windows of each film, in the order of its frames."""
        start = 0
        for who, spoken in self.spoken(split, size, channels):
            count = len(spoken.states)
            columns = [np.full(count, who), start + np.arange(count), spoken.states]
            yield Chunk(spoken.windows, attributes=np.stack(columns, axis=1))
            start += count

    def names(self) -> Names:
        """Return the columns and the films that nothing was found in."""
        every = [film for films in self._kept.values() for _, film in films]
        return Names(attributes=ATTRIBUTES, skipped=[f.problem for f in every if f.problem])

    def spoken(self, split: str, size: int, channels: int) -> list[tuple[int, Spoken]]:
        """Person and content of every film of ``split``; kept, as windows and sounds ask for it."""
        key = (split, size, channels)
        if key not in self._kept:
            people = self._splits[split]
            files = [(who, name) for who, person in enumerate(people) for name in self._of[person]]
            work = [(self._files[name], self._finder, self._region, size, self._frames)
                    for _, name in files]  # fmt: skip
            found = [s for part in map_chunks(_find_all, work, f"finding {split} mouths", 1)
                     for s in part]  # fmt: skip
            self._kept[key] = [(who, spoken) for (who, _), spoken in zip(files, found, strict=True)]
        return [(who, spoken) for who, spoken in self._kept[key] if len(spoken.states)]

    @cached_property
    def _files(self) -> dict[str, Path]:
        if not self._path.is_dir():
            raise UserError(f"There is no folder of films '{self._path}'.")
        found = sorted(p for p in self._path.rglob("*") if p.suffix.lower() in SUFFIXES)
        return {path.relative_to(self._path).as_posix(): path for path in found}

    @cached_property
    def _of(self) -> dict[str, list[str]]:
        people: dict[str, list[str]] = {}
        for name, who in zip(self._files, people_of(list(self._files)), strict=True):
            people.setdefault(who, []).append(name)
        return people

    @cached_property
    def _splits(self) -> dict[str, list[str]]:
        people = sorted(self._of)
        if len(people) < self._test_count + 2:
            raise UserError(
                f"'{self._path}' has films of {len(people)} people, too few for {self._test_count} "
                "test people and 2 to train on: films lie in folders named by person, or are "
                "called like Ann_Lee_01.mp4."
            )
        order = np.random.default_rng(self._seed).permutation(len(people)).tolist()
        test, train = order[: self._test_count], order[self._test_count :]
        return {"train": [people[i] for i in train], "test": [people[i] for i in test]}


class TalkingSounds(Sounds[TalkingFolder]):
    """What is heard at the windows of ``talkers``, a ``TalkingFolder``: uint8 ``n×1×32×32``."""

    def __init__(self, talkers: TalkingFolder, size: int) -> None:
        super().__init__(talkers)
        self._size = size

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:  # noqa: ARG002
        """Yield the sounds in the order of the windows."""
        for _, spoken in self._talkers.spoken(split, self._size, 3):
            yield Chunk(spoken.sounds)


def _find_all(work: list[tuple[Path, FaceFinder, Region, int, int]]) -> list[Spoken]:
    return [_find(*item) for item in work]


def _find(path: Path, finder: FaceFinder, region: Region, width: int, count: int) -> Spoken:
    """The faces of a film; of one that cannot be used, why."""
    try:
        film, samples = open_film(path), read_sound(path)
        refuse_silence(samples, path.name)
    except GanforgeError as error:
        return _nothing(region, width, str(error))
    loud = energies(samples, film.fps)
    wanted = set(np.linspace(0, len(loud) - 1, min(count, len(loud))).round().astype(int).tolist())
    windows, numbers, face, threads = [], [], None, torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for number, image in enumerate(islice(film.frames(), len(loud))):
            if number not in wanted:
                continue
            face = finder.near(image, face) if face else None
            face = face or next(iter(finder(path.as_posix(), image)), None)
            if face is not None:
                placement = Placement.of(region, face.left, face.right)
                windows.append(cut(image, placement, region.shape(width)))
                numbers.append(number)
    finally:
        torch.set_num_threads(threads)
    if len(numbers) < 2:
        return _nothing(region, width, f"{path.name} (no face was found)")
    sounds = sound_pictures(samples, RATE, frame_times(len(loud), film.fps)[numbers])
    states = np.full(len(numbers), SPEAKING)
    states[loud[numbers].argmin()] = QUIET
    return Spoken(np.stack(windows), sounds, states)


def _nothing(region: Region, width: int, problem: str) -> Spoken:
    windows = np.empty((0, 3, *region.shape(width)), np.uint8)
    return Spoken(windows, np.empty((0, 1, BANDS, COLUMNS), np.uint8), np.empty(0, int), problem)
