"""Image files to uint8 arrays: oriented, composited on white, fitted to a square."""

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from ganforge.data.listing import Listing
from ganforge.data.parallel import map_chunks
from ganforge.utils.errors import DamagedFileError, UserError

Fit = Literal["crop", "resize", "pad"]
OnBad = Literal["raise", "skip"]

# Nothing but pixels: Pillow would hand a file that begins as PostScript to another program.
FORMATS = ("BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")

GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")

# What Pillow's decoders and zipfile are known to raise on broken input.
BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, TypeError,
    RuntimeError, MemoryError, struct.error, zlib.error, zipfile.BadZipFile,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


def open_picture(data: bytes) -> Image.Image:
    """Decode a file's bytes, oriented; raises one of ``BROKEN``, for too many pixels as well."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            return ImageOps.exif_transpose(image)


@dataclass(frozen=True)
class Decoder:
    """How every image of a set is brought to uint8 ``channels×size×size``."""

    size: int
    channels: int
    fit: Fit = "crop"
    fill: int = 255
    """Grey level around a padded image."""

    def decode(self, data: bytes) -> np.ndarray:
        """Decode the bytes of one file; raises what Pillow raises on a broken one."""
        return self.convert(open_picture(data))

    def convert(self, image: Image.Image) -> np.ndarray:
        """Bring one Pillow image to uint8 ``channels×size×size``."""
        return to_array(self._fitted(flatten(image, self.channels)))

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


def decode_files(
    listing: Listing,
    names: Sequence[str],
    decoder: Decoder,
    what: str,
    on_bad: OnBad = "raise",
    workers: int | None = None,
    skip_key: str | None = None,
) -> Iterator[Decoded]:
    """Decode ``names`` in order in a pool; a bad one raises DamagedFileError or is left out.

    ``skip_key`` is the setting that leaves bad ones out, for the message; None where there is none.
    """
    skip = f", or leave out all such images with {skip_key}=skip" if skip_key else ""
    work = partial(_decode_many, listing.root, listing.stamp, decoder)
    for decoded in map_chunks(work, names, what, workers):
        if decoded.bad and on_bad == "raise":
            raise DamagedFileError(
                f"An image in '{listing.root}' cannot be read: {decoded.bad[0]}; repair or remove "
                f"it{skip}."
            )
        yield decoded


def all_grey(listing: Listing, names: Sequence[str]) -> bool:
    """Whether all readable images of ``names`` are grey; stops at the first that has colour."""
    readable = False
    for name in names:
        try:
            with Image.open(io.BytesIO(listing.read(name)), formats=FORMATS) as image:
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


def flatten(image: Image.Image, channels: int) -> Image.Image:
    """Return ``image`` as grey (1) or RGB (3), 16 bit scaled to 8, transparency on white."""
    if image.mode.startswith("I"):  # Pillow's own conversion clips 16 bit at 255
        levels = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("floating point pixels have no known range")
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
    root: Path, stamp: tuple[int, int] | None, decoder: Decoder, names: Sequence[str]
) -> Decoded:
    listing = Listing(root, stamp)
    images, kept, bad = [], np.ones(len(names), bool), []
    for i, name in enumerate(names):
        try:
            images.append(decoder.decode(listing.read(name)))
        except BROKEN as error:
            kept[i] = False
            bad.append(f"{name} ({reason(error)})")
    shape = (0, decoder.channels, decoder.size, decoder.size)
    return Decoded(np.stack(images) if images else np.empty(shape, np.uint8), kept, bad)


def reason(error: BaseException) -> str:
    """Why a file cannot be read, in a few words."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).rstrip(".").replace("\n", " ")
