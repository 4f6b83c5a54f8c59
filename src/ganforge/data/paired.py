"""One side of a paired set: halves of images side by side, or folders A and B with equal names."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from PIL import Image

from ganforge.data.decode import Decoder, Fit, all_grey, check_choice, decode_files
from ganforge.data.listing import Listing, list_images
from ganforge.data.source import Chunk, Names, check_fraction, check_size
from ganforge.utils.errors import UserError

VERSION = 1  # raise it when the same files give other pixels
TEST_FOLDERS = ("test", "val", "valid")
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
    are folders ``train`` and ``test`` (or ``val``) anywhere in the path, also written ``trainA``;
    without such, the last ``test_fraction`` of the sorted names are the test split.
    """

    label = None

    def __init__(
        self,
        path: Path | str,
        side: Side,
        load_size: int | None = None,
        fit: Fit = "resize",
        test_fraction: float = 0.1,
        workers: int | None = None,
    ) -> None:
        check_choice("side", side, ("left", "right", "A", "B"), "data.a")
        check_choice("fit", fit, ("crop", "resize", "pad"), "data.a")
        check_fraction("data.a.test_fraction", test_fraction)
        self._path, self._side, self._load_size, self._fit = path, side, load_size, fit
        self._test_fraction, self._workers = test_fraction, workers
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
        if channels == 3:
            self._check_colour()
        for part in decode_files(self._listing, files, decoder, what, workers=self._workers):
            yield Chunk(part.images)

    def _check_colour(self) -> None:
        """Refuse a folder that is all grey where the network is made for colour."""
        if self._side not in ("A", "B") or self._colour_checked:
            return
        names = [name for files in self._splits.values() for name in files]
        if all_grey(self._listing, names):
            raise UserError(
                f"Every image of the side {self._side} in '{self._path}' is grey, such as "
                f"'{names[0]}', but is to have 3 channels: set data.channels_a=1 to translate from "
                "grey, data.channels=1 to translate to grey."
            )
        self._colour_checked = True

    def names(self) -> Names:
        """Return nothing: there are no classes."""
        return Names()

    @cached_property
    def _listing(self) -> Listing:
        return list_images(self._path)

    @cached_property
    def _splits(self) -> dict[str, list[str]]:
        files = self._listing.names
        if self._side in ("A", "B"):
            ours, theirs = (_of_side(files, s) for s in (self._side, _other(self._side)))
            self._check_partners(ours, theirs)
            files = [ours[name] for name in sorted(ours)]
        test = [name for name in files if _split_of(name) == "test"]
        train = [name for name in files if _split_of(name) != "test"]
        if not test:
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
    markers = {side: "", **{split + side: split for split in ("train", *TEST_FOLDERS)}}
    found = {}
    for file in files:
        folders = PurePosixPath(file).parts[:-1]
        if any(folder in markers for folder in folders):
            shared = [markers.get(folder, folder) for folder in folders]
            name = "/".join([*shared, PurePosixPath(file).stem])
            if name in found:
                raise UserError(
                    f"'{found[name]}' and '{file}' have the same partner: rename or remove one."
                )
            found[name] = file
    return found


def _split_of(file: str) -> str | None:
    folders = [folder.removesuffix("A").removesuffix("B") for folder in PurePosixPath(file).parts]
    if "train" in folders[:-1]:
        return "train"
    return "test" if any(folder in TEST_FOLDERS for folder in folders[:-1]) else None
