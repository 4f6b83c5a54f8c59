"""A mouth that says a sound: in a film, frame by frame, or in a photo that becomes a film."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, repeat
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ganforge.data.decode import flatten
from ganforge.data.faces import Face, FaceFinder
from ganforge.data.film import SUFFIXES, Film, open_film, quietest, refuse_silence
from ganforge.data.sound import RATE, frame_times, sound_pictures
from ganforge.retouch.choose import Which, find, open_exemplar, open_photo
from ganforge.retouch.film import film_writer
from ganforge.retouch.photo import Model, Pictured, generate, outside_is_kept
from ganforge.utils.errors import UserError

STEADY = 0.5  # how much of the last frame's place a face keeps: found eyes tremble


@dataclass(frozen=True)
class Talker:
    """Moves lips to a sound; ``fps`` is that of films made of photos."""

    model: Model
    finder: FaceFinder
    face: Which = None
    exemplar_face: Which = None
    mark: bool = True
    lossless: bool = False
    fps: float = 25.0

    def speak(self, source: Path, samples: np.ndarray, exemplar: Path | None, output: Path) -> Path:
        """Write the film and return its path; samples are one channel at ``RATE``."""
        refuse_silence(samples, "the sound")
        film = open_film(source) if source.suffix.lower() in SUFFIXES else None
        fps = film.fps if film else self.fps
        count = max(1, round(len(samples) / RATE * fps))
        if film:
            _same_length(film, count)
            frames: Iterator[Image.Image] = film.frames()
        else:
            frames = repeat(flatten(open_photo(source), 3), count)
        example = self._exemplar(source, film, exemplar)
        path = output / f"{source.stem}{'.mkv' if self.lossless else '.mp4'}"
        sounds = torch.from_numpy(sound_pictures(samples, RATE, frame_times(count, fps)))
        size = film.size if film else open_photo(source).size
        with film_writer(path, size, fps, samples, self.lossless, self.mark) as writer:
            face = None
            for image, sound in zip(islice(frames, count), sounds, strict=False):
                face = self._follow(source, image, face)
                writer.send(np.ascontiguousarray(self._frame(image, face, example, sound)))
        return path

    def _frame(
        self, image: Image.Image, face: Face, exemplar: Pictured, sound: torch.Tensor
    ) -> np.ndarray:
        """One frame with its mouth generated; nothing else changes before it is encoded."""
        before = np.asarray(image)
        patch = generate(self.model, Pictured(image, face), exemplar, sound[None])
        after = patch.onto(before)
        if not outside_is_kept(before, after, [patch]):
            raise AssertionError("pixels outside of the region of a frame changed")
        return after

    def _follow(self, source: Path, image: Image.Image, last: Face | None) -> Face:
        """The face of the next frame: near the last one's, else searched for anew."""
        if last is None:
            return find(source, image, self.finder, self.face, "face")[0]
        now = self.finder.near(image, last)
        if now is None:
            return last
        steady = [
            tuple(STEADY * a + (1 - STEADY) * b for a, b in zip(old, new, strict=True))
            for old, new in ((last.left, now.left), (last.right, now.right))
        ]
        return replace(now, left=steady[0], right=steady[1])

    def _exemplar(self, source: Path, film: Film | None, exemplar: Path | None) -> Pictured:
        """The picture whose mouth is edited: given, the photo itself, or the quietest frame."""
        if exemplar is not None:
            return open_exemplar(exemplar, self.finder, self.exemplar_face)
        if film is None:
            image = flatten(open_photo(source), 3)
        else:
            image = next(islice(film.frames(), quietest(film), None))
        return Pictured(image, find(source, image, self.finder, self.face, "face")[0])


def _same_length(film: Film, count: int) -> None:
    frames = sum(1 for _ in film.frames())
    if abs(frames - count) > 1:
        raise UserError(
            f"the sound lasts {count / film.fps:.2f} seconds, {film.path} lasts "
            f"{frames / film.fps:.2f}: cut the longer one, so that both are equally long"
        )
