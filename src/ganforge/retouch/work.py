"""Photos and folders of photos retouched, each written where it belongs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganforge.data.decode import flatten
from ganforge.data.faces import FaceFinder
from ganforge.data.listing import list_images
from ganforge.data.windows import cut
from ganforge.retouch import marks
from ganforge.retouch.choose import Which, exemplars_for, find, open_exemplar, open_photo
from ganforge.retouch.photo import Model, Pictured, generate, outside_is_kept
from ganforge.utils.errors import GanforgeError, UserError
from ganforge.utils.regions import Placement, Region

CLOSED_BELOW = 0.3  # chance that eyes are open
JUDGED = Region([(0.266, 0.25), (0.734, 0.25)], [(0.5, 0.25, 0.4, 0.1)], aspect=0.5)
JUDGED_WIDTH = 64


class Judge(Protocol):
    """Tells open eyes from closed ones."""

    def chance(self, windows: Tensor, anchors: Sequence[Sequence[float]]) -> Tensor:
        """The chance ``N`` that the eyes of uint8 windows, at ``anchors``, are open."""
        ...


@dataclass(frozen=True)
class Done:
    """Files that were written, and sentences about those that were not."""

    written: list[Path]
    skipped: list[str]


@dataclass(frozen=True)
class Retoucher:
    """Generates the region of photos after exemplars; ``judge=None``: nobody looks at these."""

    model: Model
    finder: FaceFinder
    judge: Judge | None = None
    face: Which = None
    exemplar_face: Which = None
    mark: bool = True

    def photos(self, source: Path, exemplar: Path, output: Path) -> Done:
        """Retouch a photo, or every photo of a folder; of a folder, bad ones are reported."""
        names = _names(source)
        exemplars = self._exemplars(source, exemplar, names)
        folder, done = source if source.is_dir() else source.parent, Done([], [])
        for name in names:
            path = output / written_name(name)
            try:
                self.photo(folder / name, exemplars.get(name, exemplars.get("", [])), path)
            except GanforgeError as error:
                if source.is_file():
                    raise
                done.skipped.append(str(error))
            else:
                done.written.append(path)
        if not done.written:
            raise UserError(
                f"none of {len(names)} photos in {source} could be retouched: {done.skipped[0]}"
            )
        return done

    def photo(self, path: Path, exemplars: Sequence[Pictured], output: Path) -> None:
        """Retouch one photo and write it, when nothing outside of the region has changed."""
        original = open_photo(path)
        alpha = None
        if original.has_transparency_data:
            alpha = original.convert("RGBA").getchannel("A")
            image = original.convert("RGBA").convert("RGB")
        else:
            image = flatten(original, 3)
        faces = find(path, image, self.finder, self.face, "face")
        before = after = np.asarray(image)
        patches = []
        for face, exemplar in zip(faces, exemplars_for(faces, exemplars), strict=True):
            try:
                patches.append(generate(self.model, Pictured(image, face), exemplar))
            except UserError as error:
                raise UserError(f"{path}: {error}") from error
            after = patches[-1].onto(after)
        if not outside_is_kept(before, after, patches):
            raise AssertionError(f"pixels outside of the region of {path} changed")
        made = Image.fromarray(after)
        if alpha is not None:
            made.putalpha(alpha)
        marks.write(made, output, original, self.mark)

    def _exemplars(
        self, source: Path, exemplar: Path, names: list[str]
    ) -> dict[str, list[Pictured]]:
        """The exemplars of every photo, by its name; those under "" are for all."""
        if exemplar.is_file():
            files = {"": [exemplar]}
        elif not exemplar.is_dir():
            raise UserError(f"exemplar={exemplar} is neither a photo nor a folder of photos")
        elif source.is_file():
            files = {"": [exemplar / name for name in list_images(exemplar).names]}
        else:
            files = _partners(exemplar, names)
        return {name: [self._exemplar(path) for path in paths] for name, paths in files.items()}

    def _exemplar(self, path: Path) -> Pictured:
        """An exemplar; a UserError where it has closed eyes and that can be told."""
        pictured = open_exemplar(path, self.finder, self.exemplar_face)
        if self.judge is not None:
            placement = Placement.of(JUDGED, pictured.face.left, pictured.face.right)
            window = cut(pictured.image, placement, JUDGED.shape(JUDGED_WIDTH))
            seen = torch.from_numpy(window.copy())[None]
            chance = self.judge.chance(seen, JUDGED.anchors).item()
            if chance < CLOSED_BELOW:
                raise UserError(
                    f"the eyes in {path} look closed (open with a chance of {chance:.0%}): take "
                    "another exemplar, or judge=null if they are open"
                )
        return pictured


def written_name(name: str) -> str:
    """The name of what is made: .png behind it where the format holds no mark."""
    return name if Path(name).suffix.lower() in marks.WRITABLE else f"{name}.png"


def _names(source: Path) -> list[str]:
    """Relative names of the photos; a file needs no known suffix."""
    if source.is_file():
        return [source.name]
    if not source.is_dir():
        raise UserError(f"input={source} is neither a photo nor a folder of photos")
    return list_images(source).names


def _partners(folder: Path, names: list[str]) -> dict[str, list[Path]]:
    """Of every photo the one of the same name in another folder, whatever its suffix."""
    by_stem = {_stem(name): folder / name for name in list_images(folder).names}
    missing = [name for name in names if _stem(name) not in by_stem]
    if missing:
        raise UserError(
            f"exemplar={folder} has no photo named like {missing[0]} ({len(missing)} photos of the "
            "input have none): give each its exemplar under the same name"
        )
    return {name: [by_stem[_stem(name)]] for name in names}


def _stem(name: str) -> str:
    return Path(name).with_suffix("").as_posix()
