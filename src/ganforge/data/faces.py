"""Where the eyes of the faces in a picture are, and a table that says so."""

import csv
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from PIL import Image

from ganforge.utils.errors import UserError
from ganforge.utils.regions import Point

COLUMNS = ("file", "left_x", "left_y", "right_x", "right_y")


@dataclass(frozen=True)
class Face:
    """One face in pixels of its picture: the eye on the picture's left, that on its right."""

    left: Point
    right: Point

    @property
    def eye_distance(self) -> float:
        """Pixels between the eyes."""
        return math.dist(self.left, self.right)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """About where the face is: left, top, right, bottom."""
        x, y = (self.left[0] + self.right[0]) / 2, (self.left[1] + self.right[1]) / 2
        d = self.eye_distance
        left, top, right, bottom = (x - 1.1 * d, y - 1.1 * d, x + 1.1 * d, y + 1.8 * d)
        return round(left), round(top), round(right), round(bottom)


class FaceFinder(Protocol):
    """Finds the eyes of all faces of a picture, the largest face first."""

    def __call__(self, name: str, image: Image.Image) -> list[Face]:
        """The faces of an RGB image; ``name`` is its file's."""
        ...

    def near(self, image: Image.Image, face: Face) -> Face | None:
        """The same face in the next frame of a film, or None where it is not to be seen."""
        ...

    def key(self) -> dict[str, Any]:
        """JSON facts that decide what is found."""
        ...


class Landmarks:
    """Eyes from a table with the columns file, left_x, left_y, right_x, right_y, in pixels.

    ``file`` is a picture's name, behind as many of its folders as tell it from others; a picture
    with several faces has several rows. Left is the picture's left.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path).expanduser()

    def key(self) -> dict[str, Any]:
        """The rows."""
        return {"landmarks": sorted((name, str(faces)) for name, faces in self._rows.items())}

    def __call__(self, name: str, image: Image.Image) -> list[Face]:  # noqa: ARG002
        """The faces of a file, by as many of its folders as the table names."""
        parts = PurePosixPath(name).parts
        names = ("/".join(parts[i:]) for i in range(len(parts)))
        faces = next((self._rows[n] for n in names if n in self._rows), [])
        return sorted(faces, key=lambda face: -face.eye_distance)

    def near(self, image: Image.Image, face: Face) -> Face:  # noqa: ARG002
        """Where it was: a table tells of no movement."""
        return face

    @cached_property
    def _rows(self) -> dict[str, list[Face]]:
        found: dict[str, list[Face]] = {}
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                if not set(COLUMNS) <= set(reader.fieldnames or ()):
                    raise UserError(
                        f"landmarks={self._path} must have the columns {','.join(COLUMNS)}"
                    )
                for row in reader:
                    lx, ly, rx, ry = (float(row[column]) for column in COLUMNS[1:])
                    if not lx < rx:
                        raise UserError(
                            f"landmarks={self._path}, line {reader.line_num}: the left eye is that "
                            "on the picture's left, so left_x must be less than right_x"
                        )
                    found.setdefault(row["file"], []).append(Face((lx, ly), (rx, ry)))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"landmarks={self._path} cannot be read: {error}") from error
        return found


def finder_of(finder: FaceFinder | None, landmarks: Path | str | None) -> FaceFinder:
    """The finder, or the table in its place; a UserError where neither is given."""
    if landmarks is not None:
        return Landmarks(landmarks)
    if finder is None:
        raise UserError(
            "nothing is said of how eyes are found: data.source.landmarks=FILE.csv names them "
            "(a bundle holds no finder: evaluate the run it comes from)"
        )
    return finder
