"""CIFAR-10 (Krizhevsky 2009): the Python batches, or a copy as JPEG files in two zip archives."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganforge.data.decode import Decoder, decode_files
from ganforge.data.downloads import find_or_download
from ganforge.data.listing import Listing, list_images
from ganforge.data.source import SPLITS, Chunk, Names, check_size
from ganforge.utils.errors import DamagedFileError

CLASSES = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
]  # fmt: skip
BATCHES, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar.gz"
JPEG = {split: f"cifar10_jpeg_{split}.zip" for split in SPLITS}
ROWS = 1000


@dataclass(frozen=True)
class _Found:
    """Where the set lies: the folder with the Python batches, or the archive, or two zips."""

    batches: Path | None = None
    archive: Path | None = None
    zips: dict[str, Path] | None = None


class CIFAR10:
    """60,000 colour photographs of ten classes, 32×32.

    The JPEG copy is lossy. It keeps the name ``cifar10``, but its cache and its content hash are
    its own: scores on it never mix with scores on the original. Write "CIFAR-10 (JPEG copy)".
    """

    label = None

    def __init__(
        self,
        download_dir: Path | str,
        folder: Path | str | None = None,
        workers: int | None = None,
    ) -> None:
        self._download_dir, self._folder, self._workers = download_dir, folder, workers

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes that are no image's."""
        del channels
        check_size("CIFAR-10 images", size, 8, 256)

    def key(self) -> dict[str, Any]:
        """Return which copy was found, and what tells its files from others."""
        if self._found.zips is None:
            return {"cifar10": "python"}  # torchvision knows the hashes of these files
        return {"cifar10": "jpeg", "files": {s: one.digest for s, one in self._listings.items()}}

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:
        """Read the images of ``split``, resized (Lanczos) unless 32×32."""
        decoder = Decoder(size, channels, "resize")
        if self._found.zips is None:
            yield from self._from_batches(split, decoder)
        else:
            yield from self._from_zips(split, decoder)

    def names(self) -> Names:
        """Return the ten classes."""
        return Names(classes=CLASSES)

    def _from_batches(self, split: str, decoder: Decoder) -> Iterator[Chunk]:
        from torchvision import datasets

        try:  # torchvision checks the hashes before it unpickles
            data = datasets.CIFAR10(str(self._batches().parent), train=split == "train")
        except RuntimeError as error:
            raise DamagedFileError(
                f"The CIFAR-10 batches in '{self._batches()}' are damaged or incomplete: "
                "remove that folder and fetch them again."
            ) from error
        labels = np.array(data.targets)
        for start in range(0, len(labels), ROWS):
            rows = data.data[start : start + ROWS]
            images = np.stack([decoder.convert(Image.fromarray(image)) for image in rows])
            yield Chunk(images, labels[start : start + ROWS])

    def _from_zips(self, split: str, decoder: Decoder) -> Iterator[Chunk]:
        listing, start = self._listings[split], 0
        labels = _labels(listing)
        what = f"reading {split} images"
        for part in decode_files(listing, listing.names, decoder, what, workers=self._workers):
            yield Chunk(part.images, labels[start : start + len(part.images)])
            start += len(part.images)

    def _batches(self) -> Path:
        """Return the folder of the batches, unpacking the archive where there is nothing else."""
        if self._found.batches is not None:
            return self._found.batches
        target = Path(self._download_dir).expanduser()
        if not (target / BATCHES).is_dir():
            try:
                with tarfile.open(self._found.archive) as archive:
                    archive.extractall(target, filter="data")
            except (tarfile.TarError, EOFError, OSError) as error:
                raise DamagedFileError(
                    f"'{self._found.archive}' cannot be unpacked ({error}): fetch it again."
                ) from error
        return target / BATCHES

    @cached_property
    def _listings(self) -> dict[str, Listing]:
        found, memo = self._found.zips, self._download_dir
        return {split: list_images(path, memo) for split, path in found.items()}

    @cached_property
    def _found(self) -> _Found:
        files = [f"{BATCHES}/", ARCHIVE, " and ".join(JPEG.values())]
        return find_or_download(
            "CIFAR-10", files, self._folder, self._download_dir, _find, _download
        )


def _labels(listing: Listing) -> np.ndarray:
    folders = [name.split("/")[0] for name in listing.names]
    for strange in set(folders) - set(CLASSES):
        raise DamagedFileError(
            f"'{listing.root}' has the folder '{strange}', which is no class of CIFAR-10: "
            "its members must be CLASS/NNNN.jpg."
        )
    return np.array([CLASSES.index(folder) for folder in folders])


def _find(folder: Path) -> _Found | None:
    zips = {split: folder / name for split, name in JPEG.items()}
    if (folder / BATCHES).is_dir():
        return _Found(batches=folder / BATCHES)
    if (folder / ARCHIVE).is_file():
        return _Found(archive=folder / ARCHIVE)
    return _Found(zips=zips) if all(path.is_file() for path in zips.values()) else None


def _download(folder: str) -> None:
    from torchvision import datasets

    datasets.CIFAR10(folder, download=True)
