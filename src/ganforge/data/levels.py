"""Grey values of more than eight bits: which are black and white, over a whole data set.

A range for each file would make a dim picture as bright as any other. Nor do most files say their
range: a 12-bit camera's values stand in 16-bit files as they are.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ganforge.utils.errors import UserError

Range = tuple[float, float]
Ranges = Mapping[str, Range]

FLOAT, INT16, INT32, COLOUR = "floating point", "signed 16 bit", "32 bit", "16 bit colour"
UINT12, UINT16 = "12 bit", "16 bit"
GREY = (FLOAT, INT16, INT32, UINT12, UINT16)
# The usual depths of cameras and scanners, and those of the file formats themselves.
DEPTHS = {
    UINT12: (12,), UINT16: (8, 10, 12, 14, 16), INT16: (8, 10, 12, 14, 15),
    INT32: (8, 10, 12, 14, 16),
}  # fmt: skip
BITS, PHOTOMETRIC, SAMPLE_FORMAT, SIGNED = 258, 262, 339, 2  # of TIFF


class UnknownRangeError(Exception):
    """An image is deeper than eight bits, and nobody has looked at the whole data set yet."""


@dataclass(frozen=True)
class Depth:
    """The deep values that were seen of one kind."""

    low: float
    high: float
    whole: bool
    """None of them has a fraction."""

    def __or__(self, other: "Depth") -> "Depth":
        low, high = min(self.low, other.low), max(self.high, other.high)
        return Depth(low, high, self.whole and other.whole)


def note_depth(image: Image.Image) -> None:
    """Leave in ``image.info`` what an opened image will have lost when it is turned."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})  # TIFF's alone
    kind = _kind(image, tags)
    if kind is not None:
        image.info["depth"] = kind
        image.info["white_is_zero"] = kind in GREY and tags.get(PHOTOMETRIC) == 0


def _kind(image: Image.Image, tags: Mapping[int, Any]) -> str | None:
    if image.mode == "F":
        return FLOAT
    if image.mode[0] != "I":
        # Pillow keeps the upper byte of colours; an unread image's tile tells what it reads.
        colours = image.mode in ("LA", "RGB", "RGBA", "RGBX")
        return COLOUR if colours and image.tile and ";16" in str(image.tile[0].args) else None
    bits = tags.get(BITS, (16,))[0]
    if bits == 12:
        return UINT12
    if bits <= 16:
        return INT16 if tags.get(SAMPLE_FORMAT, (1,))[0] == SIGNED else UINT16
    return INT32


def depth_of(image: Image.Image) -> dict[str, Depth]:
    """What one image shows of its kind; nothing of one with eight bits."""
    kind = image.info.get("depth")
    if kind is None:
        return {}
    values = np.asarray(image)
    if not values.size:
        return {}
    if kind == COLOUR:
        colours = 1 if image.mode == "LA" else 3  # without what is transparent
        return {kind: Depth(0, float(values[..., :colours].max()) * 257, True)}
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("it holds NaN or infinity")
    return {kind: Depth(low, high, values.dtype.kind != "f" or bool((values % 1 == 0).all()))}


def merged(all_seen: Iterable[Mapping[str, Depth]]) -> dict[str, Depth]:
    """What was seen of each kind in all of them."""
    found: dict[str, Depth] = {}
    for seen in all_seen:
        for kind, depth in seen.items():
            found[kind] = found[kind] | depth if kind in found else depth
    return found


def same_range(value_range: Iterable[float] | None, key: str) -> Ranges | None:
    """The range that the user gave, for every kind; None where none was given."""
    if value_range is None:
        return None
    found = list(value_range) if not isinstance(value_range, str | int | float) else []
    if len(found) != 2 or not all(isinstance(v, int | float) for v in found):
        raise UserError(
            f"{key}={value_range} is no range: give two numbers, such as {key}=[0,4095]"
        )
    low, high = found
    if not -math.inf < low < high < math.inf:
        raise UserError(f"{key}={found} is no range: black must be less than white")
    return {**dict.fromkeys(GREY, (low, high)), COLOUR: (0, 65535)}


def ranges_of(seen: Mapping[str, Depth], where: str, key: str | None) -> Ranges:
    """Black and white of each kind; a UserError asks for what cannot be known."""
    return {kind: _range(kind, depth, where, key) for kind, depth in seen.items()}


def _range(kind: str, seen: Depth, where: str, key: str | None) -> Range:
    if kind == COLOUR:
        if 0 < seen.high < 64 * 257:
            another = f", or set {key}=[0,65535]" if key else ""
            raise UserError(
                f"The colour images of 16 bit in '{where}' use the lower "
                f"{math.ceil(math.log2(seen.high + 1))} bits alone and would be nearly black: save "
                f"them with 8 bits a channel, brightened{another}."
            )
        return 0, 65535
    if seen.low >= 0:
        if kind == FLOAT:
            if seen.high <= 1:
                return 0, 1
            if seen.high <= 255 and (seen.whole or seen.high > 128):
                return 0, 255
        for bits in DEPTHS.get(kind, ()):
            if seen.high < 1 << bits:
                return 0, (1 << bits) - 1
    low, high = f"{seen.low:g}", f"{seen.high:g}"
    remedy = f"set {key}=[BLACK,WHITE], such as {key}=[{low},{high}]" if key else (
        "save the images with 8 bits"
    )  # fmt: skip
    raise UserError(
        f"The {kind} values of the images in '{where}' run from {low} to {high}, and nothing says "
        f"which of them are black and white: {remedy}."
    )


def told(ranges: Ranges, seen: Mapping[str, Depth], key: str | None) -> str | None:
    """A sentence on ranges that were found by content; None where a format has but one."""
    found = [
        f"{kind} values from {depth.low:g} to {depth.high:g} are read as {ranges[kind][0]:g} "
        f"(black) to {ranges[kind][1]:g} (white)"
        for kind, depth in seen.items()
        if kind != COLOUR and ranges[kind] != (0, 65535)
    ]
    another = f"; {key}=[BLACK,WHITE] sets another range" if key else ""
    return f"{' and '.join(found)}{another}" if found else None


def to_grey(image: Image.Image, ranges: Ranges | None) -> Image.Image:
    """An image of deep grey as 8 bit; ``ranges`` None: as if it were the whole data set."""
    kind = image.info.get("depth", UINT16 if image.mode[0] == "I" else FLOAT)
    if ranges is None:
        image.info["depth"] = kind
        ranges = ranges_of(depth_of(image), "this file", None)
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinity")
    if kind not in ranges:
        raise UnknownRangeError
    black, white = ranges[kind]
    levels = ((values - black) * 255 / (white - black)).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(255 - levels if image.info.get("white_is_zero") else levels)
