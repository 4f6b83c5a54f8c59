"""Any folder or zip archive of images; one level of class folders gives labels."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ganforge.data.decode import Decoder, Fit, Levels, OnBad, check_choice, decode_files
from ganforge.data.folders import Layout, classes_of, divide, layout, named, top_folder
from ganforge.data.levels import same_range
from ganforge.data.listing import Listing, left_out, list_images, some
from ganforge.data.source import Chunk, Names, check_fraction, check_size
from ganforge.utils.errors import UserError
from ganforge.utils.terminal import tell

VERSION = 2  # raise it when the same files give other pixels


class ImageFolder:
    """Images under ``path``.

    The splits are, in this order: the folders ``train_folder`` and ``test_folder`` inside of
    ``path`` where they are named; folders with the usual names of splits (``train`` or
    ``training``, and ``test``, ``testing``, ``val``, ``valid``, ``validation`` or ``dev``, in any
    case), of which ``test`` goes before ``val``; else ``test_fraction`` of the images of each
    class, chosen by the hash of their names, are the test split. Labels are there when every image
    lies in a class folder.

    ``value_range`` is black and white of images with more than eight bits; None: as the values of
    all of them suggest. In ``data_dir`` it is remembered what unchanged files hold.
    """

    label = None

    def __init__(
        self,
        path: Path | str,
        fit: Fit = "crop",
        test_fraction: float = 0.1,
        train_folder: str | None = None,
        test_folder: str | None = None,
        on_bad_image: OnBad = "raise",
        workers: int | None = None,
        value_range: Sequence[float] | None = None,
        data_dir: Path | str | None = None,
        group: str = "data.source",
    ) -> None:
        check_choice("fit", fit, ("crop", "resize", "pad"), group)
        check_choice("on_bad_image", on_bad_image, ("raise", "skip"), group)
        check_fraction(f"{group}.test_fraction", test_fraction)
        if test_folder is not None and train_folder is None:
            raise UserError(f"{group}.test_folder needs {group}.train_folder beside it.")
        self.path, self._fit, self._test_fraction = Path(path), fit, test_fraction
        self._folders = (train_folder, test_folder)
        self._on_bad, self._workers = on_bad_image, workers
        self._skipped: list[str] = []
        self._skip_key, self._range_key = f"{group}.on_bad_image", f"{group}.value_range"
        self._ranges = same_range(value_range, self._range_key)
        self._data_dir, self._told = data_dir, False

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes that no image has."""
        del channels
        check_size("Images", size, 1, 1024)

    def key(self) -> dict[str, Any]:
        """Return the options, and a digest of the names, sizes and times of the files."""
        return {
            "image_folder": VERSION,
            "files": self.listing.digest,
            "fit": self._fit,
            "test_fraction": self._test_fraction,
            "folders": self._folders,
            "on_bad_image": self._on_bad,
            "ranges": self._ranges,
        }

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:
        """Decode the images of ``split``, sorted by name, in a pool of processes."""
        names, labels = self._splits[split], None
        self._tell()
        if self._classes is not None:
            numbers = {name: number for number, name in enumerate(self._classes)}
            labels = np.array([numbers[top_folder(short)] for short in names.values()])
        files, bad, start = self.files(split), [], 0
        decoder = Decoder(size, channels, self._fit)
        what = f"reading {split} images"
        # What is wrong with the test images is reported before all training images are read.
        others = self.files("test") if split == "train" else []
        for part in decode_files(
            self.listing,
            files,
            decoder,
            what,
            self._on_bad,
            self._workers,
            self._skip_key,
            self._levels,
            others,
        ):
            chosen = np.flatnonzero(part.kept) + start
            start += len(part.kept)
            bad += part.bad
            if len(chosen):
                yield Chunk(part.images, None if labels is None else labels[chosen])
        self._report(bad, len(files), split)

    def names(self) -> Names:
        """Return the class folders and the images that were skipped."""
        return Names(classes=self._classes, skipped=self._skipped)

    def files(self, split: str) -> list[str]:
        """Names of the files of ``split`` in the listing, sorted."""
        return list(self._splits[split])

    @cached_property
    def listing(self) -> Listing:
        """What lies under ``path``."""
        return list_images(self.path, self._data_dir)

    @cached_property
    def _levels(self) -> Levels:
        return Levels(self.listing, self._ranges, self._range_key, self._workers)

    @cached_property
    def _layout(self) -> Layout:
        """Which files are trained on and held out."""
        train, test = self._folders
        names = self.listing.names
        if train is None:
            found = layout(names)
        else:
            found = named(names, train, test)
            if found is None:
                missing = next(f for f in (train, test) if f and named(names, f, None) is None)
                raise UserError(f"'{self.path}' has no images in a folder '{missing}'.")
        if found.test is not None:
            return found
        if len(found.train) < 2:
            raise UserError(
                f"'{self.path}' has one image; at least two are needed, one for each split."
            )
        return replace(divide(found.train, self._test_fraction), notes=found.notes)

    @cached_property
    def _splits(self) -> dict[str, dict[str, str]]:
        """Map each file of a split to its name inside of the split's folder."""
        return {"train": self._layout.train, "test": self._layout.test}

    @cached_property
    def _classes(self) -> list[str] | None:
        return classes_of(short for names in self._splits.values() for short in names.values())

    def _tell(self) -> None:
        """Say what of the folder is not used as one might think; once, before it is read."""
        if self._told:
            return
        self._told = True
        notes = [left_out(self.listing), *self._layout.notes]
        shorts = [short for names in self._splits.values() for short in names.values()]
        outside = [short for short in shorts if top_folder(short) is None]
        if self._classes is None and len(outside) < len(shorts):
            notes.append(_no_classes(outside) if outside else None)
        trained = {top_folder(short) for short in self._splits["train"].values()}
        for name in self._classes or []:
            if name not in trained:
                notes.append(f"The class '{name}' has no training images.")
        for note in filter(None, notes):
            tell(note)

    def _report(self, bad: list[str], count: int, split: str) -> None:
        if self._on_bad == "skip" and self.listing.unreadable and split == "train":
            self._skipped += self.listing.unreadable
            tell(f"Skipped folders that cannot be read: {some(self.listing.unreadable)}")
        if not bad:
            return
        if len(bad) == count:
            raise UserError(
                f"None of the {count} {split} images in '{self.path}' can be read; "
                f"the first: {bad[0]}."
            )
        self._skipped += bad
        tell(f"Skipped {len(bad)} of {count} {split} images: {some(bad)}")


def _no_classes(outside: list[str]) -> str:
    which = outside[0] if len(outside) == 1 else f"{outside[0]} and {len(outside) - 1} more"
    return f"There are no classes, for not every image lies in a class folder: {which}."
