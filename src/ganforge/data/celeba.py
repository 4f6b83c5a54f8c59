"""CelebA, aligned and cropped (Liu et al. 2015): 202,599 faces, forty yes-or-no attributes."""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ganforge.data.decode import Decoder, Fit, check_choice, decode_files
from ganforge.data.downloads import find_or_download
from ganforge.data.listing import Listing, list_images
from ganforge.data.source import Chunk, Names, check_size
from ganforge.utils.errors import DamagedFileError, UserError

IMAGES, ATTRIBUTES, PARTITION = (
    "img_align_celeba",
    "list_attr_celeba.txt",
    "list_eval_partition.txt",
)
PARTS = {"train": 0, "test": 2}
FIRST_VALID, FIRST_TEST = 162_771, 182_638  # the official partition, by number


class CelebA:
    """Faces of 178×218, centre-cropped to a square; the official training and test parts.

    Needed is ``img_align_celeba`` (folder or zip); with ``list_attr_celeba.txt`` beside it the
    attributes are there and ``label`` (such as ``Male``) chooses one as the class.
    """

    def __init__(
        self,
        download_dir: Path | str,
        folder: Path | str | None = None,
        label: str | None = None,
        fit: Fit = "crop",
        workers: int | None = None,
    ) -> None:
        check_choice("fit", fit, ("crop", "resize", "pad"))
        self.label = label
        self._download_dir, self._folder = download_dir, folder
        self._fit, self._workers = fit, workers

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes that are no image's."""
        del channels
        check_size("CelebA images", size, 8, 512)

    def key(self) -> dict[str, Any]:
        """Return digests of the images and of the lists beside them."""
        names = self._attribute_names
        if self.label is not None and self.label not in names:
            known = f"choose one of {', '.join(names)}" if names else f"{ATTRIBUTES} is missing"
            raise UserError(f"data.source.label is '{self.label}', not known to CelebA: {known}.")
        lists = (self._beside(ATTRIBUTES), self._beside(PARTITION))
        return {
            "celeba": self._listing.digest,
            "lists": [hashlib.sha256(p.read_bytes()).hexdigest() if p else None for p in lists],
            "fit": self._fit,
        }

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:
        """Decode the images of ``split`` in the order of their numbers."""
        names = [name for name in self._listing.names if self._part_of(name) == PARTS[split]]
        if not names:
            raise UserError(f"'{self._listing.root}' has no image of CelebA's {split} part.")
        values = self._attribute_rows(names) if self._attribute_names else None
        decoder, start = Decoder(size, channels, self._fit), 0
        for part in decode_files(
            self._listing, names, decoder, f"reading {split} images", workers=self._workers
        ):
            end = start + len(part.images)
            yield Chunk(part.images, attributes=None if values is None else values[start:end])
            start = end

    def names(self) -> Names:
        """Return the attributes, each no or yes."""
        return Names(attributes={name: ["no", "yes"] for name in self._attribute_names})

    @cached_property
    def _listing(self) -> Listing:
        root = find_or_download(
            "CelebA",
            [f"{IMAGES}.zip (or the folder {IMAGES}) with {ATTRIBUTES} and {PARTITION}"],
            self._folder,
            self._download_dir,
            _find,
            _download,
        )
        return list_images(root, self._download_dir)

    @cached_property
    def _attribute_names(self) -> list[str]:
        """Return the header of the list of attributes, its second line; empty without the list."""
        path = self._beside(ATTRIBUTES)
        if path is None:
            return []
        with path.open(encoding="utf-8") as file:
            return list(islice(file, 2))[-1].split()

    def _attribute_rows(self, names: list[str]) -> np.ndarray:
        """Return 0 or 1 for each image and attribute, int64 ``n×40``."""
        path, rows = self._beside(ATTRIBUTES), {}
        for line in path.read_text(encoding="utf-8").splitlines()[2:]:
            file, *signs = line.split()
            rows[file] = [int(sign == "1") for sign in signs]
        known = [rows.get(PurePosixPath(name).name, []) for name in names]
        for name, row in zip(names, known, strict=True):
            if len(row) != len(self._attribute_names):
                raise DamagedFileError(f"'{path}' is damaged: it lacks attributes of '{name}'.")
        return np.array(known)

    @cached_property
    def _partition(self) -> dict[str, int]:
        path = self._beside(PARTITION)
        lines = path.read_text(encoding="utf-8").splitlines() if path else []
        return {file: int(part) for file, part in (line.split() for line in lines)}

    def _part_of(self, name: str) -> int:
        file = PurePosixPath(name).name
        if self._partition:
            return self._partition.get(file, -1)
        number = PurePosixPath(file).stem
        if not number.isdigit():
            return -1
        return 0 if int(number) < FIRST_VALID else 1 if int(number) < FIRST_TEST else 2

    def _beside(self, name: str) -> Path | None:
        path = self._listing.root.parent / name
        return path if path.is_file() else None


def _find(folder: Path) -> Path | None:
    for place in (folder, folder / "celeba"):
        for path in (place / f"{IMAGES}.zip", place / IMAGES):
            if path.exists():
                return path
    return None


def _download(folder: str) -> None:
    from torchvision import datasets

    datasets.CelebA(folder, download=True)
