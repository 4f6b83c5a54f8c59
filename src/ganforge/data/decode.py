"""Image files to uint8 arrays: oriented, composited on white, fitted to a square."""

import io
import struct
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from ganforge.data.levels import (
    Depth,
    Ranges,
    UnknownRangeError,
    depth_of,
    merged,
    note_depth,
    ranges_of,
    to_grey,
    told,
)
from ganforge.data.listing import HAS_HEIF, Listing, some
from ganforge.data.parallel import CHUNK, map_chunks
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.terminal import tell

if HAS_HEIF:
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)

Fit = Literal["crop", "resize", "pad"]
OnBad = Literal["raise", "skip"]

# Nothing but pixels: Pillow would hand a file that begins as PostScript to another program.
FORMATS = (
    *("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP"),
    *(("HEIF",) if HAS_HEIF else ()),
)
PAGED = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")
SUBFILE = 254  # TIFF's tag of smaller copies of a page
LOOK = 4  # seconds to look for more, once something bad is known, ...
FEW = 4  # ... so many images at a time

GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")

# What Pillow's decoders and zipfile are known to raise on broken input.
BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, TypeError,
    RuntimeError, MemoryError, struct.error, zlib.error, zipfile.BadZipFile,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


def open_picture(data: bytes) -> Image.Image:
    """Decode a file's bytes, oriented; raises one of ``BROKEN``, for too many pixels as well.

    ``info`` tells of more than one page, and of more than eight bits (``note_depth``).
    """
    with _strict(), opened(data) as image:
        note_depth(image)
        if (pages := len(_pages(image))) > 1:
            image.info["pages"] = pages
        image.load()
        return ImageOps.exif_transpose(image)


def open_pages(data: bytes) -> Iterator[Image.Image]:
    """Decode every page or frame of a file, oriented; raises as ``open_picture`` does."""
    with _strict():
        image = opened(data)
    with image:
        for page in _pages(image):
            with _strict():
                image.seek(page)
                note_depth(image)
                image.load()
                decoded = ImageOps.exif_transpose(image)
            yield decoded


@contextmanager
def _strict() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def opened(data: bytes) -> Image.Image:
    """A picture of which no more than the head is read yet; raises one of ``BROKEN``."""
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _pages(image: Image.Image) -> list[int]:
    """Numbers of the pages or frames of an opened file; smaller copies of a page are none."""
    if image.format not in PAGED:
        return [0]
    count = image.n_frames
    if count == 1 or image.format != "TIFF":
        return list(range(count))
    found = []
    for page in range(count):
        image.seek(page)
        if not image.tag_v2.get(SUBFILE, 0) & 1:
            found.append(page)
    image.seek(0)
    return found or [0]


@dataclass(frozen=True)
class Decoder:
    """How every image of a set is brought to uint8 ``channels×size×size``."""

    size: int
    channels: int
    fit: Fit = "crop"
    fill: int = 255
    """Grey level around a padded image."""

    ranges: Ranges | None = None
    """Black and white of deep grey images; None: of each file as its values suggest."""

    def decode(self, data: bytes) -> np.ndarray:
        """Decode the bytes of one file; raises what Pillow raises on a broken one."""
        return self.convert(open_picture(data))

    def convert(self, image: Image.Image) -> np.ndarray:
        """Bring one Pillow image to uint8 ``channels×size×size``."""
        return to_array(self._fitted(flatten(image, self.channels, self.ranges)))

    def _fitted(self, image: Image.Image) -> Image.Image:
        square, resample = (self.size, self.size), Image.Resampling.LANCZOS
        if image.size == square:
            return image
        if self.fit == "crop":
            return ImageOps.fit(image, square, resample)
        if self.fit == "pad":
            fill = self.fill if self.channels == 1 else (self.fill,) * 3
            return ImageOps.pad(image, square, resample, color=fill)
        return image.resize(square, resample)


@dataclass(frozen=True)
class Decoded:
    """Decoded files: ``images`` uint8 ``n×C×H×W``, ``kept`` bool per file, and what was wrong."""

    images: np.ndarray
    kept: np.ndarray
    bad: list[str]
    pages: dict[str, int] = field(default_factory=dict)
    """How many pages those have that have several."""


@dataclass(frozen=True)
class Levels:
    """Black and white of a listing's deep grey images, found when the first of them is met.

    ``fixed`` are the ranges that the user gave with ``key``; ``chosen`` are all names that count,
    where those are not the listing's.
    """

    listing: Listing
    fixed: Ranges | None = None
    key: str | None = None
    workers: int | None = None
    chosen: Sequence[str] | None = None

    @cached_property
    def ranges(self) -> Ranges:
        """The ranges; reads all images of the listing unless the user gave some."""
        if self.fixed is not None:
            return self.fixed
        work = partial(_depths, self.listing.root, self.listing.stamp)
        what = "reading grey levels"
        names = self.listing.names if self.chosen is None else self.chosen
        seen = merged(map_chunks(work, names, what, self.workers))
        ranges = ranges_of(seen, str(self.listing.root), self.key)
        if sentence := told(ranges, seen, self.key):
            tell(f"'{self.listing.root}': {sentence}.")
        return ranges


def decode_files(
    listing: Listing,
    names: Sequence[str],
    decoder: Decoder,
    what: str,
    on_bad: OnBad = "raise",
    workers: int | None = None,
    skip_key: str | None = None,
    levels: Levels | None = None,
    others: Sequence[str] = (),
) -> Iterator[Decoded]:
    """Decode ``names`` in order in a pool; bad ones raise DamagedFileError or are left out.

    ``skip_key`` is the setting that leaves bad ones out, for the message; None where there is none.
    The error names all that are bad, those among ``others``, the rest of the data set, as well.
    """
    levels = levels or Levels(listing, workers=workers)
    decode = partial(_decoded, listing, decoder=decoder, levels=levels, workers=workers)
    if on_bad == "raise":
        _refuse_cut(listing, [*names, *others], decode, skip_key)
    bad: list[str] = []
    pages: dict[str, int] = {}
    for decoded in decode(names, what=what):
        bad += decoded.bad
        pages |= decoded.pages
        if on_bad == "skip" or not bad:
            yield decoded
    if bad and on_bad == "raise":
        for decoded in decode(others, what="reading the other images"):
            bad += decoded.bad
        raise unreadable(listing, bad, skip_key)
    if pages:
        tell(pages_sentence(pages, len(names)))


def _refuse_cut(
    listing: Listing,
    names: Sequence[str],
    decode: Callable[..., Iterator[Decoded]],
    skip_key: str | None,
) -> None:
    """Raise for folders that cannot be read and for cut files, told by their ends, before all else.

    Then a look at as many others as a few seconds allow, for all that is bad to be named at once.
    """
    suspects = set(listing.suspects)
    suspects &= set(names)
    if len(suspects) > max(64, len(names) // 10):
        suspects.clear()  # written so: to decode them all is no short cut
    bad = list(listing.unreadable)
    for decoded in decode(sorted(suspects), what="looking at odd images"):
        bad += decoded.bad
    if not bad:
        return
    rest, looked, end = [n for n in names if n not in suspects], 0, time.monotonic() + LOOK
    with closing(decode(rest, what="looking at the other images", chunk=FEW)) as parts:
        for decoded in parts:
            bad += decoded.bad
            looked += len(decoded.kept)
            if time.monotonic() > end:
                break
    unseen = len(rest) - looked
    raise unreadable(listing, bad, skip_key, f" ({unseen} were not decoded)" if unseen else "")


def pages_sentence(pages: Mapping[str, int], count: int) -> str:
    """What is said where one picture a file is wanted, and some have several."""
    shown = some([f"{name} {several}" for name, several in pages.items()])
    return (
        f"{len(pages)} of {count} images have several pages or frames ({shown}; "
        f"{sum(pages.values())} in all): the first of each is used."
    )


def unreadable(
    listing: Listing, bad: list[str], skip_key: str | None = None, more: str = ""
) -> DamagedFileError:
    """The error that names what cannot be read."""
    skip = f", or leave out all such images with {skip_key}=skip" if skip_key else ""
    what, them = ("An image", "it") if len(bad) == 1 else (f"{len(bad)} images", "them")
    return DamagedFileError(
        f"{what} in '{listing.root}' cannot be read{more}: {some(bad)}; repair or remove {them}"
        f"{skip}."
    )


def _decoded(
    listing: Listing,
    names: Sequence[str],
    decoder: Decoder,
    levels: Levels,
    workers: int | None,
    what: str,
    chunk: int = CHUNK,
) -> Iterator[Decoded]:
    """Decode in a pool; where the first deep image is met, the levels of all are looked at."""
    start, decoder = 0, replace(decoder, ranges=levels.fixed or {})
    while start < len(names):
        work = partial(_decode_many, listing.root, listing.stamp, decoder)
        with closing(map_chunks(work, names[start:], what, workers, chunk)) as parts:
            for decoded in parts:
                if decoded is None:
                    break
                start += len(decoded.kept)
                yield decoded
        if start < len(names):
            decoder = replace(decoder, ranges=levels.ranges)


def all_grey(listing: Listing, names: Sequence[str]) -> bool:
    """Whether all readable images of ``names`` are grey; stops at the first that has colour."""
    readable = False
    for name in names:
        try:
            with opened(listing.read(name)) as image:
                if image.mode not in GREY_MODES:
                    return False
                readable = True
        except BROKEN:
            continue  # a bad image is the decoder's affair
    return readable


def check_choice(key: str, value: str, choices: Sequence[str], group: str = "data.source") -> None:
    """Raise UserError unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise UserError(f"{group}.{key} is '{value}': choose {' or '.join(choices)}.")


def flatten(image: Image.Image, channels: int, ranges: Ranges | None = None) -> Image.Image:
    """Return ``image`` as grey (1) or RGB (3), deep grey scaled to 8 bit, transparency on white.

    ``ranges`` are black and white of deep images; None takes this one alone for the data set.
    """
    if image.mode == "F" or image.mode[0] == "I":  # Pillow's own conversion clips at 255
        image = to_grey(image, ranges)
    elif ranges is not None and image.info.get("depth") not in (None, *ranges):
        raise UnknownRangeError
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("L" if channels == 1 else "RGB")


def to_array(image: Image.Image) -> np.ndarray:
    """Return a grey or RGB Pillow image as uint8 ``C×H×W``."""
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _decode_many(
    root: Path, stamp: tuple[int, ...] | None, decoder: Decoder, names: Sequence[str]
) -> Decoded | None:
    """Decode some files; None where the ranges of deep ones must be known first."""
    listing = Listing(root, stamp)
    images, kept, bad, pages = [], np.ones(len(names), bool), [], {}
    for i, name in enumerate(names):
        try:
            image = open_picture(listing.read(name))
            images.append(decoder.convert(image))
            if "pages" in image.info:
                pages[name] = image.info["pages"]
        except UnknownRangeError:
            return None
        except BROKEN as error:
            kept[i] = False
            bad.append(f"{name} ({reason(error)})")
    shape = (0, decoder.channels, decoder.size, decoder.size)
    return Decoded(np.stack(images) if images else np.empty(shape, np.uint8), kept, bad, pages)


def _depths(root: Path, stamp: tuple[int, ...] | None, names: Sequence[str]) -> dict[str, Depth]:
    """What the deep ones among some files show."""
    listing, seen = Listing(root, stamp), []
    for name in names:
        try:
            seen.append(depth_of(open_picture(listing.read(name))))
        except BROKEN:
            continue  # told when it is decoded
    return merged(seen)


def reason(error: BaseException) -> str:
    """Why a file cannot be read, in a few words."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).rstrip(".").replace("\n", " ")
