"""Image files as they are: read in order, hashed by content, never all in memory."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganforge.data.decode import BROKEN, GREY_MODES, Decoder, flatten, open_picture, to_array
from ganforge.data.listing import Listing, list_images
from ganforge.metrics.statistics import RealImages
from ganforge.utils.errors import DamagedFileError
from ganforge.utils.files import write_json

log = logging.getLogger(__name__)
BATCH = 64


@dataclass(frozen=True)
class Scan:
    """What reading every file once told: the hash of all bytes, each image's side and colour."""

    sha256: str
    sizes: list[tuple[int, int]]
    grey: list[bool]


class ImageFiles:
    """The images under ``path``. ``size`` crops and scales them to squares; None leaves them.

    Images of one size make a batch, so that a set of many sizes needs no scaling before the
    extractor's own. A set with any colour is read in colour.
    """

    def __init__(self, path: Path, size: int | None, data_dir: Path) -> None:
        self.listing = list_images(path)
        self.size = size
        self.split = path.resolve().stem
        self.scan = _scanned(self.listing, data_dir / "statistics")
        self.count = len(self.listing.names)
        self.channels = 1 if all(self.scan.grey) else 3

    @property
    def sides(self) -> str:
        """Height and width that all images have, in words."""
        sizes = set(self.scan.sizes) if self.size is None else {(self.size, self.size)}
        return "×".join(map(str, reversed(sizes.pop()))) if len(sizes) == 1 else "many sizes"

    def pick(self, n: int, seed: int) -> RealImages:
        """``n`` images, the same ones for the same seed."""
        order = np.arange(self.count)
        if n < self.count:
            order = np.sort(np.random.default_rng([seed, self.count]).permutation(self.count)[:n])
        digest = self.scan.sha256 if self.size is None else f"{self.scan.sha256} at {self.size}"
        return RealImages(
            lambda: self._batches(order),
            len(order),
            digest,
            self.split,
            seed,
            whole=n >= self.count,
        )

    def _batches(self, order: np.ndarray) -> Iterator[Callable[[], Tensor]]:
        """Functions that read batches of one size each."""
        groups: dict[tuple[int, int], list[int]] = {}
        for index in order.tolist():
            key = self.scan.sizes[index] if self.size is None else (self.size, self.size)
            groups.setdefault(key, []).append(index)
        for group in groups.values():
            for start in range(0, len(group), BATCH):
                yield partial(self._read, group[start : start + BATCH])

    def _read(self, indices: list[int]) -> Tensor:
        arrays = []
        for index in indices:
            name = self.listing.names[index]
            try:
                image = open_picture(self.listing.read(name))
                if self.size is None:
                    arrays.append(to_array(flatten(image, self.channels)))
                else:
                    arrays.append(Decoder(self.size, self.channels).convert(image))
            except BROKEN as error:
                raise _unreadable(self.listing, name, error) from error
        return torch.from_numpy(np.stack(arrays))


def _scanned(listing: Listing, folder: Path) -> Scan:
    """Read every file once, or what an earlier look at the unchanged files wrote down."""
    key = hashlib.sha256(f"{listing.root.resolve()}\0{listing.digest}".encode()).hexdigest()
    path = folder / f"scan-{key[:32]}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Scan(found["sha256"], [tuple(size) for size in found["sizes"]], found["grey"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s was damaged (%r): the images are looked at again", path, error)
    scan = _scan(listing)
    write_json({"sha256": scan.sha256, "sizes": scan.sizes, "grey": scan.grey}, path)
    return scan


def _scan(listing: Listing) -> Scan:
    digest, sizes, grey = hashlib.sha256(), [], []
    for name in listing.names:
        try:
            data = listing.read(name)
            image = open_picture(data)
        except BROKEN as error:
            raise _unreadable(listing, name, error) from error
        sizes.append(image.size)
        grey.append(image.mode in GREY_MODES)
        digest.update(hashlib.sha256(data).digest())
    return Scan(digest.hexdigest(), sizes, grey)


def _unreadable(listing: Listing, name: str, error: BaseException) -> DamagedFileError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DamagedFileError(
        f"An image in '{listing.root}' cannot be read: {name} ({reason}); repair or remove it."
    )
