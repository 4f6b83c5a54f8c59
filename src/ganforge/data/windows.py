"""Windows cut out of pictures by similarity transforms, smoothly at any scale."""

import math

import numpy as np
from PIL import Image

from ganforge.utils.regions import Placement

Matrix = tuple[float, float, float, float, float, float]


def resample(image: Image.Image, matrix: Matrix, size: tuple[int, int]) -> Image.Image:
    """Pixels of ``image`` at ``matrix`` (as of ``Image.transform``) times places of the result.

    Where the image is finer than the result, several samples are averaged: bicubic interpolation
    alone would alias. Beyond the picture its border goes on.
    """
    a, b, c, d, e, f = matrix
    width, height = size
    corners = [(a * x + b * y + c, d * x + e * y + f) for x in (0, width) for y in (0, height)]
    image, left, top = _with_border(image, corners)
    c, f = c + left, f + top
    fine = max(1, math.ceil(math.sqrt(abs(a * e - b * d)) - 0.25))
    sampled = image.transform(
        (width * fine, height * fine),
        Image.Transform.AFFINE,
        (a / fine, b / fine, c, d / fine, e / fine, f),
        Image.Resampling.BICUBIC,
    )
    return sampled.reduce(fine) if fine > 1 else sampled


def cut(image: Image.Image, placement: Placement, shape: tuple[int, int]) -> np.ndarray:
    """The window at ``placement`` as uint8 ``C×H×W``."""
    height, width = shape
    (ox, oy), (ux, uy) = placement.origin, placement.u
    matrix = (ux / width, -uy / width, ox, uy / width, ux / width, oy)
    array = np.asarray(resample(image, matrix, (width, height)))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _with_border(
    image: Image.Image, corners: list[tuple[float, float]]
) -> tuple[Image.Image, int, int]:
    """What of the picture lies between the corners, its border repeated as far as they reach.

    Returns how far the picture moved to the right and down as well.
    """
    x, y = zip(*corners, strict=True)
    reach = 2  # pixels that bicubic interpolation looks at
    left, top = math.floor(min(x)) - reach, math.floor(min(y)) - reach
    right, bottom = math.ceil(max(x)) + reach, math.ceil(max(y)) + reach
    # A window wholly outside of the picture shows the nearest pixel.
    inside = (
        min(max(left, 0), image.width - 1), min(max(top, 0), image.height - 1),
        max(min(right, image.width), 1), max(min(bottom, image.height), 1),
    )  # fmt: skip
    part = image.crop(inside)
    margins = (inside[0] - left, right - inside[2], inside[1] - top, bottom - inside[3])
    if any(margin > 0 for margin in margins):
        before_x, after_x, before_y, after_y = (max(margin, 0) for margin in margins)
        array = np.asarray(part)
        padding = [(before_y, after_y), (before_x, after_x)] + [(0, 0)] * (array.ndim - 2)
        part = Image.fromarray(np.pad(array, padding, mode="edge"))
        return part, before_x - inside[0], before_y - inside[1]
    return part, -inside[0], -inside[1]
