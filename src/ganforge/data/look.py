"""A look at pictures before anything is decided: how many, how large, grey, twice, broken."""

import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganforge.data.decode import BROKEN, GREY_MODES, opened
from ganforge.data.folders import classes_of
from ganforge.data.listing import list_images, some
from ganforge.utils.errors import UserError

MOST = 400  # pictures whose size and colour are looked at, spread over all
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # what Exif says of a picture that lies on its side
GREY_SIDE, GREY_SPREAD = 64, 8  # a picture is grey whose channels differ by no more


@dataclass(frozen=True)
class Look:
    """What pictures are: ``count`` of all, ``sizes`` (width, height) and ``grey`` of ``MOST``."""

    count: int
    sizes: list[tuple[int, int]]
    grey: int
    broken: list[str]
    twins: int
    formats: Counter[str]
    classes: list[str]

    @property
    def side(self) -> int:
        """The median of the shorter sides."""
        return int(statistics.median(min(size) for size in self.sizes))

    @property
    def all_grey(self) -> bool:
        """Whether no picture that was looked at has a colour."""
        return self.grey == len(self.sizes)

    def table(self) -> dict[str, str]:
        """Facts by name, in words."""
        shapes = Counter(self.sizes)
        low, high = min(map(min, self.sizes)), max(map(max, self.sizes))
        (width, height), most = shapes.most_common(1)[0]
        same = most == len(self.sizes)
        alike = f"all {width}×{height}" if same else f"sides from {low} to {high}"
        seen = "" if len(self.sizes) == self.count else f" (of {len(self.sizes)} looked at)"
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in self.formats.most_common())
        return {
            "pictures": f"{self.count:,}: {kinds}",
            "sizes": f"{alike}, the shorter side mostly {self.side}{seen}",
            "grey": f"{self.grey:,} of {len(self.sizes):,}" if self.grey else "none",
            "twice": f"{self.twins:,} have the bytes of another one" if self.twins else "none",
            "broken": some(self.broken) if self.broken else "none",
            "folders": ", ".join(self.classes[:6]) + " …" * (len(self.classes) > 6) or "none",
        }


def look_at(path: Path | str, data_dir: Path | str | None = None) -> Look:
    """Look at a folder or zip archive; the heads of files tell what is not decoded."""
    listing = list_images(path, data_dir)
    names = listing.names
    chosen = [names[i] for i in np.linspace(0, len(names) - 1, min(MOST, len(names))).astype(int)]
    sizes, grey, broken = [], 0, list(listing.suspects)
    for name in chosen:
        if name in broken:
            continue
        try:
            size, is_grey = _head(listing.read(name))
        except BROKEN:
            broken.append(name)
            continue
        sizes.append(size)
        grey += is_grey
    if not sizes:
        raise UserError(f"none of the {len(names)} pictures in '{path}' can be read")
    formats = Counter(Path(name).suffix.lower().lstrip(".") for name in names)
    classes = classes_of(names) or []
    return Look(len(names), sizes, grey, broken, listing.twins, formats, classes)


def _head(data: bytes) -> tuple[tuple[int, int], bool]:
    """Size as it is shown, and whether there is no colour."""
    with opened(data) as image:
        width, height = image.size
        if image.getexif().get(ORIENTATION) in TURNED:
            width, height = height, width
        if image.mode in GREY_MODES:
            return (width, height), True
        image.draft("RGB", (GREY_SIDE, GREY_SIDE))  # of a JPEG an eighth is decoded
        image.thumbnail((GREY_SIDE, GREY_SIDE))
        plain = image.convert("RGBA") if image.mode == "P" else image  # palettes with alpha warn
        pixels = np.asarray(plain.convert("RGB")).astype(int)
        return (width, height), bool(np.ptp(pixels, axis=2).max() <= GREY_SPREAD)
