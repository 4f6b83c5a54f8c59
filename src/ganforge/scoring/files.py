"""Image files as they are: read in order, hashed by content, never all in memory."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganforge.data.decode import (
    BROKEN,
    GREY_MODES,
    Decoder,
    flatten,
    open_picture,
    pages_sentence,
    reason,
    to_array,
    unreadable,
)
from ganforge.data.levels import Depth, depth_of, merged, ranges_of, same_range, told
from ganforge.data.listing import Listing, left_out, list_images
from ganforge.data.parallel import patient_progress
from ganforge.metrics.statistics import ImageSet
from ganforge.utils.files import write_json
from ganforge.utils.terminal import tell

log = logging.getLogger(__name__)
BATCH = 64


@dataclass(frozen=True)
class Scan:
    """What reading every file once told: the hash of all bytes, each image's side and colour.

    ``depths`` are the values of images with more than eight bits.
    """

    sha256: str
    sizes: list[tuple[int, int]]
    grey: list[bool]
    depths: dict[str, Depth]


class ImageFiles:
    """The images under ``path``. ``size`` crops and scales them to squares; None leaves them.

    Images of one size make a batch, so that a set of many sizes needs no scaling before the
    extractor's own. A set with any colour is read in colour. ``value_range`` is black and white of
    images with more than eight bits; None: as the values of all of them suggest.
    """

    def __init__(
        self,
        path: Path,
        size: int | None,
        data_dir: Path,
        value_range: Sequence[float] | None = None,
    ) -> None:
        self.listing = list_images(path, data_dir)
        self.size = size
        self.split = path.resolve().stem
        self.scan = _scanned(self.listing, data_dir / "statistics")
        fixed = same_range(value_range, "value_range")
        self.ranges = fixed or ranges_of(self.scan.depths, str(path), "value_range")
        if not fixed and (sentence := told(self.ranges, self.scan.depths, "value_range")):
            tell(f"'{path}': {sentence}.")
        if sentence := left_out(self.listing):
            tell(sentence)
        self.count = len(self.listing.names)
        self.channels = 1 if all(self.scan.grey) else 3

    @property
    def dimensions(self) -> str:
        """Height and width that all images have, in words."""
        sizes = set(self.scan.sizes) if self.size is None else {(self.size, self.size)}
        return "×".join(map(str, reversed(sizes.pop()))) if len(sizes) == 1 else "many sizes"

    def pick(self, n: int, seed: int) -> ImageSet:
        """``n`` images, the same ones for the same seed."""
        order = np.arange(self.count)
        if n < self.count:
            order = np.sort(np.random.default_rng([seed, self.count]).permutation(self.count)[:n])
        digest = self.scan.sha256 if self.size is None else f"{self.scan.sha256} at {self.size}"
        if self.scan.depths:
            digest += f" in {sorted(self.ranges.items())}"
        return ImageSet(
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
        decoder = Decoder(self.size or 0, self.channels, ranges=self.ranges)
        for index in indices:
            name = self.listing.names[index]
            try:
                image = open_picture(self.listing.read(name))
                if self.size is None:
                    arrays.append(to_array(flatten(image, self.channels, self.ranges)))
                else:
                    arrays.append(decoder.convert(image))
            except BROKEN as error:
                raise unreadable(self.listing, [f"{name} ({reason(error)})"]) from error
        return torch.from_numpy(np.stack(arrays))


def _scanned(listing: Listing, folder: Path) -> Scan:
    """Read every file once, or what an earlier look at the unchanged files wrote down."""
    key = hashlib.sha256(f"{listing.root.resolve()}\0{listing.digest}".encode()).hexdigest()
    path = folder / f"scan-{key[:32]}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        depths = {kind: Depth(*values) for kind, values in found["depths"].items()}
        sizes = [tuple(size) for size in found["sizes"]]
        return Scan(found["sha256"], sizes, found["grey"], depths)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s was damaged (%r): the images are looked at again", path, error)
    scan = _scan(listing)
    depths = {kind: astuple(depth) for kind, depth in scan.depths.items()}
    facts = {"sha256": scan.sha256, "sizes": scan.sizes, "grey": scan.grey, "depths": depths}
    write_json(facts, path)
    return scan


def _scan(listing: Listing) -> Scan:
    """Read every file; all that cannot be read are named at once."""
    digest, sizes, grey, depths = hashlib.sha256(), [], [], {}
    bad, pages = list(listing.unreadable), {}
    with patient_progress("looking at the images", len(listing.names)) as advance:
        for name in listing.names:
            advance(1)
            try:
                data = listing.read(name)
                image = open_picture(data)
                depths = merged([depths, depth_of(image)])
            except BROKEN as error:
                bad.append(f"{name} ({reason(error)})")
                continue
            sizes.append(image.size)
            grey.append(image.mode in GREY_MODES)
            digest.update(hashlib.sha256(data).digest())
            if "pages" in image.info:
                pages[name] = image.info["pages"]
    if bad:
        raise unreadable(listing, bad)
    if pages:
        tell(pages_sentence(pages, len(sizes)))
    return Scan(digest.hexdigest(), sizes, grey, depths)
