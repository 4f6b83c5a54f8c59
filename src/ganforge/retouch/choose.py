"""Which face of a picture is meant, and which exemplar goes with which face."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ganforge.data.decode import BROKEN, flatten, open_picture, reason
from ganforge.data.faces import Face, FaceFinder
from ganforge.retouch.photo import Pictured, check_distance
from ganforge.utils.errors import DamagedFileError, UserError

Which = str | int | None  # largest, all, a number counted from the left, or None: the only one


def open_photo(path: Path) -> Image.Image:
    """Decode a file, oriented, with what it says of itself."""
    try:
        return open_picture(path.read_bytes())
    except BROKEN as error:
        raise DamagedFileError(f"{path} cannot be read as a picture ({reason(error)})") from error


def check_which(key: str, which: Which) -> None:
    """Raise a UserError for a choice that is none."""
    number = isinstance(which, int) and not isinstance(which, bool) and which >= 1
    if which is not None and which not in ("largest", "all") and not number:
        raise UserError(
            f"{key}={which}: choose largest, all, or a number, counted from the left from 1"
        )


def find(path: Path, image: Image.Image, finder: FaceFinder, which: Which, key: str) -> list[Face]:
    """The faces that are meant, from the left; a UserError where that is not clear."""
    name = path.name
    faces = sorted(finder(path.as_posix(), image), key=lambda face: face.left)
    if not faces:
        raise UserError(
            f"no face was found in {name}: take another picture, or name the eyes in a table, "
            "landmarks=FILE.csv"
        )
    if which == "all":
        return faces
    if which == "largest":
        return [max(faces, key=lambda face: face.eye_distance)]
    if which is None and len(faces) > 1:
        boxes = "; ".join(f"{n}: {list(face.box)}" for n, face in enumerate(faces, start=1))
        raise UserError(
            f"{name} shows {len(faces)} faces ({boxes}): choose one by its number with {key}=1 and "
            f"so on, or {key}=largest"
        )
    number = which or 1
    if number > len(faces):
        raise UserError(f"{key}={number}, but {name} shows {len(faces)} faces")
    return [faces[number - 1]]


def open_exemplar(path: Path, finder: FaceFinder, which: Which) -> Pictured:
    """The picture whose eyes are taken."""
    image = flatten(open_photo(path), 3)
    (face,) = find(path, image, finder, which, "exemplar_face")
    try:
        check_distance(face)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return Pictured(image, face)


def exemplars_for(faces: Sequence[Face], exemplars: Sequence[Pictured]) -> list[Pictured]:
    """An exemplar for every face: one for all, or one each, from the left."""
    if len(exemplars) == 1:
        return list(exemplars) * len(faces)
    if len(exemplars) != len(faces):
        raise UserError(
            f"there are {len(exemplars)} exemplars for {len(faces)} faces: give one for all, or "
            "one for each face, sorted by name as the faces are from the left"
        )
    return list(exemplars)
