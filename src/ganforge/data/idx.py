"""MNIST and Fashion-MNIST: the idx files of LeCun et al., plain or gzipped."""

import gzip
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from ganforge.data.decode import Decoder
from ganforge.data.downloads import find_or_download
from ganforge.data.source import Chunk, Names, check_size
from ganforge.utils.errors import DamagedFileError

SIDE = 28
PREFIXES = {"train": "train", "test": "t10k"}
PARTS = {"images": "images-idx3-ubyte", "labels": "labels-idx1-ubyte"}
ROWS = 1000  # images a chunk


class MNIST:
    """70,000 handwritten digits, 28×28 grey (LeCun et al. 1998).

    Other sizes: up to 36 the image gets a black border, as LeNet's 32 did; else it is resized.
    """

    label = None
    title = "MNIST"
    classes: ClassVar[list[str]] = [str(digit) for digit in range(10)]
    usual: ClassVar[tuple[Path, ...]] = ()

    def __init__(self, download_dir: Path | str, folder: Path | str | None = None) -> None:
        self._download_dir, self._folder = download_dir, folder

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes that are no image's."""
        del channels
        check_size(f"{self.title} images", size, 8, 256)

    def key(self) -> dict[str, Any]:
        """Return the names and lengths of the files."""
        return {
            "idx": self.title,
            "files": {path.name: path.stat().st_size for path in self._files.values()},
        }

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:
        """Read the images of ``split`` in the order of the file."""
        images = read_idx(self._files[split, "images"], dimensions=3)
        labels = read_idx(self._files[split, "labels"], dimensions=1)
        if len(images) != len(labels):
            raise DamagedFileError(
                f"'{self._files[split, 'labels']}' has {len(labels)} labels "
                f"for {len(images)} images: one of the files is damaged."
            )
        fit = _fit(size, channels)
        for start in range(0, len(images), ROWS):
            rows = slice(start, start + ROWS)
            yield Chunk(fit(images[rows]), labels[rows])

    def names(self) -> Names:
        """Return the ten classes."""
        return Names(classes=self.classes)

    @cached_property
    def _files(self) -> dict[tuple[str, str], Path]:
        names = [f"{prefix}-{part}[.gz]" for prefix in PREFIXES.values() for part in PARTS.values()]
        return find_or_download(
            self.title, [", ".join(names)], self._folder, self._download_dir,
            _find, self._download, self.usual,
        )  # fmt: skip

    def _download(self, folder: str) -> None:
        import torchvision

        getattr(torchvision.datasets, type(self).__name__)(folder, download=True)


class FashionMNIST(MNIST):
    """70,000 articles of clothing, 28×28 grey (Xiao et al. 2017); Debian installs them."""

    title = "Fashion-MNIST"
    classes: ClassVar[list[str]] = [
        "T-shirt/top", "trouser", "pullover", "dress", "coat",
        "sandal", "shirt", "sneaker", "bag", "ankle boot",
    ]  # fmt: skip
    usual: ClassVar[tuple[Path, ...]] = (Path("/usr/share/datasets/fashion-mnist"),)


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read an idx file of unsigned bytes, gzipped if its name ends in .gz."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        header = 4 + 4 * dimensions
        magic, *shape = struct.unpack(f">{1 + dimensions}I", data[:header])
        if magic != 0x0800 + dimensions or len(data) != header + math.prod(shape):
            raise ValueError("its length is not what its header says")
        return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise DamagedFileError(
            f"'{path}' is not a complete idx file ({error}): remove it and fetch it again."
        ) from error


def _find(folder: Path) -> dict[tuple[str, str], Path] | None:
    """Return the four files in ``folder`` or where torchvision puts them below it."""
    for place in (folder, folder / "raw", folder / "FashionMNIST/raw", folder / "MNIST/raw"):
        found = {}
        for split, prefix in PREFIXES.items():
            for part, name in PARTS.items():
                for path in (place / f"{prefix}-{name}", place / f"{prefix}-{name}.gz"):
                    if path.is_file():
                        found.setdefault((split, part), path)
        if len(found) == len(PREFIXES) * len(PARTS):
            return found
    return None


def _fit(size: int, channels: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the way from uint8 ``n×28×28`` to ``n×C×size×size``."""
    border = size - SIDE
    if 0 <= border <= 8:
        around = (border // 2, border - border // 2)
        return lambda images: np.repeat(
            np.pad(images, ((0, 0), around, around))[:, None], channels, axis=1
        )
    decoder = Decoder(size, channels, "resize")
    return lambda images: np.stack([decoder.convert(Image.fromarray(image)) for image in images])
