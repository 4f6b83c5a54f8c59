"""Any folder or zip archive of images; one level of class folders gives labels."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from rich.console import Console

from ganforge.data.decode import Decoder, Fit, OnBad, check_choice, decode_files
from ganforge.data.listing import Listing, list_images
from ganforge.data.source import Chunk, Names, check_fraction, check_size
from ganforge.utils.errors import UserError

VERSION = 1  # raise it when the same files give other pixels
TEST_FOLDERS = ("test", "val", "valid")


class ImageFolder:
    """Images under ``path``.

    The splits are, in this order: the folders ``train_folder`` and ``test_folder`` inside of
    ``path`` where they are named; the folders ``train`` and ``test`` (or ``val``, ``valid``) where
    ``path`` holds nothing else; else ``test_fraction`` of the images, chosen by the hash of their
    names, are the test split. Labels are there when every image lies in a class folder.
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
        self._skip_key = f"{group}.on_bad_image"

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes that no image has."""
        del channels
        check_size("Images", size, 1, 1024)

    def key(self) -> dict[str, Any]:
        """Return the options, and a digest of the names, sizes and times of the files."""
        return {
            "image_folder": VERSION,
            "files": self._listing.digest,
            "fit": self._fit,
            "test_fraction": self._test_fraction,
            "folders": self._folders,
            "on_bad_image": self._on_bad,
        }

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:
        """Decode the images of ``split``, sorted by name, in a pool of processes."""
        names, classes = self._splits[split], self._classes()
        labels = None
        if classes is not None:
            numbers = {name: number for number, name in enumerate(classes)}
            labels = np.array([numbers[_class_of(short)] for short in names.values()])
        files, bad, start = list(names), [], 0
        decoder = Decoder(size, channels, self._fit)
        what = f"reading {split} images"
        for part in decode_files(
            self._listing, files, decoder, what, self._on_bad, self._workers, self._skip_key
        ):
            chosen = np.flatnonzero(part.kept) + start
            start += len(part.kept)
            bad += part.bad
            if len(chosen):
                yield Chunk(part.images, None if labels is None else labels[chosen])
        self._report(bad, len(files), split)

    def names(self) -> Names:
        """Return the class folders and the images that were skipped."""
        return Names(classes=self._classes(), skipped=self._skipped)

    @cached_property
    def _listing(self) -> Listing:
        return list_images(self.path)

    @cached_property
    def _splits(self) -> dict[str, dict[str, str]]:
        """Map each file of a split to its name inside of the split's folder."""
        names = _without_common_folder(self._listing.names)
        train, test = self._folders
        if train is None:
            train, test = _split_folders(names.values())
            inside = {folder: _inside(names, folder) for folder in (train, test) if folder}
        else:
            whole = {name: name for name in self._listing.names}
            inside = {f: self._named(whole, f) for f in self._folders if f is not None}
        if test is not None:
            return {"train": inside[train], "test": inside[test]}
        return self._divide(_relabel(inside[train]) if train is not None else names)

    def _named(self, names: dict[str, str], folder: str) -> dict[str, str]:
        found = _inside(names, folder.strip("/"))
        if not found:
            raise UserError(f"'{self.path}' has no images in a folder '{folder}'.")
        return found

    def _divide(self, names: dict[str, str]) -> dict[str, dict[str, str]]:
        if len(names) < 2:
            raise UserError(
                f"'{self.path}' has one image; at least two are needed, one for each split."
            )
        hashed = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
        count = min(max(1, round(self._test_fraction * len(names))), len(names) - 1)
        test = set(hashed[:count])
        return {
            "train": {name: short for name, short in names.items() if name not in test},
            "test": {name: short for name, short in names.items() if name in test},
        }

    def _classes(self) -> list[str] | None:
        shorts = [short for names in self._splits.values() for short in names.values()]
        classes = {_class_of(short) for short in shorts}
        return None if None in classes else sorted(classes)

    def _report(self, bad: list[str], count: int, split: str) -> None:
        if not bad:
            return
        if len(bad) == count:
            raise UserError(
                f"None of the {count} {split} images in '{self.path}' can be read; "
                f"the first: {bad[0]}."
            )
        self._skipped += bad
        more = f", … ({len(bad) - 5} more)" if len(bad) > 5 else ""
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"Skipped {len(bad)} of {count} {split} images: {', '.join(bad[:5])}{more}",
            markup=False,
        )


def _without_common_folder(names: Sequence[str]) -> dict[str, str]:
    """Map names to names without the folders that all of them share."""
    parts = [PurePosixPath(name).parts for name in names]
    shared = 0
    while all(len(p) > shared + 1 and p[shared] == parts[0][shared] for p in parts):
        shared += 1
    return {name: "/".join(p[shared:]) for name, p in zip(names, parts, strict=True)}


def _relabel(names: dict[str, str]) -> dict[str, str]:
    shorter = _without_common_folder(list(names.values()))
    return {name: shorter[short] for name, short in names.items()}


def _split_folders(names: Iterable[str]) -> tuple[str | None, str | None]:
    """Return the top folders that are the splits, where the names say so beyond doubt."""
    top = {_class_of(name) for name in names}
    for test in TEST_FOLDERS:
        if top == {"train", test}:
            return "train", test
    return None, None


def _inside(names: dict[str, str], folder: str) -> dict[str, str]:
    prefix = folder + "/"
    return {n: short[len(prefix) :] for n, short in names.items() if short.startswith(prefix)}


def _class_of(name: str) -> str | None:
    """Return the first folder of a relative name."""
    folder, slash, _ = name.partition("/")
    return folder if slash else None
