"""One side of a paired set: halves of images side by side, or folders A and B with equal names."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from PIL import Image

from ganforge.data.decode import Decoder, Fit, Levels, all_grey, check_choice, decode_files
from ganforge.data.folders import split_of
from ganforge.data.levels import same_range
from ganforge.data.listing import Listing, left_out, list_images
from ganforge.data.source import Chunk, Names, check_fraction, check_size
from ganforge.utils.errors import UserError
from ganforge.utils.terminal import tell

VERSION = 2  # raise it when the same files give other pixels
Side = Literal["left", "right", "A", "B"]


@dataclass(frozen=True)
class HalfDecoder(Decoder):
    """Decodes one half of an image that holds a pair side by side."""

    right: bool = False

    def convert(self, image: Image.Image) -> Any:
        """Cut the half out and bring it to uint8 ``channels×size×size``."""
        width, height = image.size
        if width < 2:
            raise ValueError(f"it is {width} pixel wide and cannot hold two images side by side")
        box = (width - width // 2, 0, width, height) if self.right else (0, 0, width // 2, height)
        return super().convert(image.crop(box))


class PairedFolder:
    """One side of the pairs in a folder or zip archive.

    ``side`` is ``left`` or ``right`` of images side by side, or the folder ``A`` or ``B``. Splits
    are folders ``train`` and ``test`` (or ``val``; ``image_folder`` has all names) anywhere in the
    path, also written ``trainA``; without such, the last ``test_fraction`` of the sorted names are
    the test split.
    """

    label = None

    def __init__(
        self,
        path: Path | str,
        side: Side,
        load_size: int | None = None,
        fit: Fit = "resize",
        test_fraction: float = 0.1,
        value_range: Sequence[float] | None = None,
        workers: int | None = None,
        data_dir: Path | str | None = None,
    ) -> None:
        check_choice("side", side, ("left", "right", "A", "B"), "data.a")
        check_choice("fit", fit, ("crop", "resize", "pad"), "data.a")
        check_fraction("data.a.test_fraction", test_fraction)
        self._path, self._side, self._load_size, self._fit = path, side, load_size, fit
        self._test_fraction, self._workers = test_fraction, workers
        self._ranges = same_range(value_range, "data.a.value_range")
        self._data_dir = data_dir
        self._colour_checked = False

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes that no image has."""
        del channels
        check_size("Images", size, 1, 1024)
        check_size("Images", self._load_size or size, 1, 1024)

    def key(self) -> dict[str, Any]:
        """Return the options and a digest of the files."""
        return {
            "paired_folder": VERSION,
            "files": self._listing.digest,
            "side": self._side,
            "load_size": self._load_size,
            "fit": self._fit,
            "test_fraction": self._test_fraction,
            "ranges": self._ranges,
        }

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:
        """Decode this side's images of ``split``, sorted by name; a bad one raises."""
        pixels = (self._load_size or size) if split == "train" else size
        if self._side in ("left", "right"):
            decoder: Decoder = HalfDecoder(pixels, channels, self._fit, right=self._side == "right")
        else:
            decoder = Decoder(pixels, channels, self._fit)
        what = f"reading {split} images {self._side}"
        files = self._splits[split]
        if split == "train":
            self._tell()
        if channels == 3:
            self._check_colour()
        levels = Levels(self._listing, self._ranges, "data.a.value_range", self._workers)
        others = self._splits["test"] if split == "train" else ()
        for part in decode_files(
            self._listing, files, decoder, what, "raise", self._workers, None, levels, others
        ):
            yield Chunk(part.images)

    def _tell(self) -> None:
        """Say what is not used; the sides share their files, so one of them speaks."""
        if self._side in ("left", "A"):
            unused = len(self._files) - sum(map(len, self._splits.values()))
            note = f"{unused} pairs in '{self._path}' lie outside of the splits and are not used."
            for line in filter(None, (left_out(self._listing), note if unused else None)):
                tell(line)

    def _check_colour(self) -> None:
        """Refuse a folder that is all grey where the network is made for colour."""
        if self._side not in ("A", "B") or self._colour_checked:
            return
        names = [name for files in self._splits.values() for name in files]
        if all_grey(self._listing, names):
            raise UserError(
                f"Every image of the side {self._side} in '{self._path}' is grey, such as "
                f"'{names[0]}', but must have 3 channels: set data.channels_a=1 to translate from "
                "grey, data.channels=1 to translate to grey."
            )
        self._colour_checked = True

    def names(self) -> Names:
        """Return nothing: there are no classes."""
        return Names()

    @cached_property
    def _listing(self) -> Listing:
        return list_images(self._path, self._data_dir)

    @cached_property
    def _files(self) -> list[str]:
        """The files of this side, sorted by the names that partners share."""
        files = self._listing.names
        if self._side in ("A", "B"):
            ours, theirs = (_of_side(files, s) for s in (self._side, _other(self._side)))
            self._check_partners(ours, theirs)
            files = [ours[name] for name in sorted(ours)]
        return files

    @cached_property
    def _splits(self) -> dict[str, list[str]]:
        files, found = self._files, defaultdict(list)
        for name in files:
            found[_split_of(name)].append(name)
        test = found["test"] or found["validation"]
        train = found["train"] or found[None]
        if not test:
            files = train
            count = max(1, round(self._test_fraction * len(files)))
            train, test = files[:-count], files[-count:]
        if not train:
            raise UserError(
                f"All {len(files)} pairs in '{self._path}' are test images: there is nothing to "
                "train on."
            )
        return {"train": train, "test": test}

    def _check_partners(self, ours: dict[str, str], theirs: dict[str, str]) -> None:
        for side, found in ((self._side, ours), (_other(self._side), theirs)):
            if not found:
                raise UserError(
                    f"'{self._path}' has no images of the side {side}: pairs in folders lie in A/ "
                    "and B/ (or trainA/, trainB/, ...), those side by side are read with "
                    "data.a.side=left data.b.side=right."
                )
        for found, others, missing in (
            (ours, theirs, _other(self._side)), (theirs, ours, self._side),
        ):  # fmt: skip
            alone = sorted(set(found) - set(others))
            if alone:
                raise UserError(
                    f"'{found[alone[0]]}' in '{self._path}' has no partner on the side {missing} "
                    f"({len(alone)} such images): give it one of the same name, or remove it."
                )


def _other(side: str) -> str:
    return "B" if side == "A" else "A"


def _of_side(files: list[str], side: str) -> dict[str, str]:
    """Map the name that partners share, without side and suffix, to the file."""

    def shared_name(folder: str) -> str | None:
        """What stands for a folder of this side among those of both; None for other folders."""
        if folder == side:
            return ""
        split = folder.removesuffix(side)
        return split if split != folder and split_of(split) else None

    found = {}
    for file in files:
        folders = PurePosixPath(file).parts[:-1]
        names = [shared_name(folder) for folder in folders]
        if any(name is not None for name in names):
            shared = [f if name is None else name for f, name in zip(folders, names, strict=True)]
            name = "/".join([*shared, PurePosixPath(file).stem])
            if name in found:
                raise UserError(
                    f"'{found[name]}' and '{file}' have the same partner: rename or remove one."
                )
            found[name] = file
    return found


def _split_of(file: str) -> str | None:
    """The split that any folder above a file says; train goes before the others."""
    folders = [f.removesuffix("A").removesuffix("B") for f in PurePosixPath(file).parts[:-1]]
    found = {split_of(folder) for folder in folders}
    return next((split for split in ("train", "test", "validation") if split in found), None)
