"""Windows cut out of pictures by similarity transforms, smoothly at any scale."""

import math

import numpy as np
from PIL import Image

from ganforge.utils.regions import Placement


def resample(
    image: Image.Image,
    matrix: tuple[float, float, float, float, float, float],
    size: tuple[int, int],
) -> Image.Image:
    """Pixels of ``image`` at ``matrix`` (as of ``Image.transform``) times places of the result.

    Where the image is finer than the result, several samples are averaged: bicubic interpolation
    alone would alias.
    """
    a, b, c, d, e, f = matrix
    fine = max(1, math.ceil(math.sqrt(abs(a * e - b * d)) - 0.25))
    width, height = size
    sampled = image.transform(
        (width * fine, height * fine),
        Image.Transform.AFFINE,
        (a / fine, b / fine, c, d / fine, e / fine, f),
        Image.Resampling.BICUBIC,
    )
    return sampled.reduce(fine) if fine > 1 else sampled


def cut(image: Image.Image, placement: Placement, shape: tuple[int, int]) -> np.ndarray:
    """The window at ``placement`` as uint8 ``C×H×W``; black beyond the picture."""
    height, width = shape
    (ox, oy), (ux, uy) = placement.origin, placement.u
    matrix = (ux / width, -uy / width, ox, uy / width, ux / width, oy)
    array = np.asarray(resample(image, matrix, (width, height)))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
