"""Films and sounds read by ffmpeg, which the package ``imageio-ffmpeg`` brings."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganforge.data.sound import RATE
from ganforge.utils.errors import DamagedFileError, UserError

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
QUIET = 1e-3  # the loudest sample of a sound that counts as silence
TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Film:
    """What a film says of itself, and its frames as RGB pictures."""

    path: Path
    size: tuple[int, int]
    fps: float

    def frames(self) -> Iterator[Image.Image]:
        """Decode it from the beginning."""
        reader = ffmpeg().read_frames(str(self.path), pix_fmt="rgb24")
        next(reader)
        width, height = self.size
        try:
            for data in reader:
                array = np.frombuffer(data, np.uint8).reshape(height, width, 3)
                yield Image.fromarray(array)
        finally:
            reader.close()


def open_film(path: Path) -> Film:
    """Look at a film; a UserError or DamagedFileError where it is none."""
    reader = ffmpeg().read_frames(str(path), pix_fmt="rgb24")
    try:
        told: dict[str, Any] = next(reader)
    except (OSError, RuntimeError, StopIteration, IndexError) as error:
        raise DamagedFileError(f"{path} cannot be read as a film") from error
    finally:
        reader.close()
    return Film(path, tuple(told["source_size"]), float(told["fps"]))


def read_sound(path: Path) -> np.ndarray:
    """One channel of float samples at ``RATE``, of any sound or film; any rate is resampled."""
    if not path.is_file():
        raise UserError(f"sound={path} is no file")
    words = ["-i", str(path), "-vn", "-f", "f32le", "-ac", "1", "-ar", str(RATE), "-"]
    done = subprocess.run(
        [ffmpeg().get_ffmpeg_exe(), "-nostdin", "-v", "error", *words],
        capture_output=True, timeout=TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    samples = np.frombuffer(done.stdout[: len(done.stdout) // 4 * 4], np.float32)
    if done.returncode or not len(samples):
        raise UserError(f"{path} has no sound track that can be read: give a file with one")
    return samples


def energies(samples: np.ndarray, fps: float) -> np.ndarray:
    """How loud every whole frame is: the mean square of its samples at ``RATE``."""
    step = RATE / fps
    parts = [samples[int(i * step) : int((i + 1) * step)] for i in range(int(len(samples) / step))]
    return np.array([np.square(part, dtype=np.float64).mean() for part in parts])


def quietest(film: Film) -> int:
    """The number of the frame in which the least is heard; the first, if there is no sound."""
    try:
        found = energies(read_sound(film.path), film.fps)
    except UserError:
        return 0
    return int(found.argmin()) if len(found) else 0


def refuse_silence(samples: np.ndarray, what: str) -> None:
    """Raise a UserError where there is nothing to hear."""
    if not len(samples) or np.abs(samples).max() < QUIET:
        raise UserError(f"{what} is silent: there is nothing that a mouth could say")


def ffmpeg() -> Any:
    """The package that runs it."""
    if find_spec("imageio_ffmpeg") is None:
        raise UserError("films are read and written by ffmpeg: pip install 'ganforge[video]'")
    import imageio_ffmpeg

    return imageio_ffmpeg
