"""Where a picture may change: a soft mask in a window that two points align."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Point = tuple[float, float]


@dataclass(frozen=True)
class Region:
    """Ellipses in a window that is cut out so that two points, the eyes, lie at ``anchors``.

    All lengths are fractions of the window's width, from its top left corner: ``anchors`` are
    (x, y) of the eye on the picture's left and of that on its right, ``ellipses`` are (x, y,
    radius x, radius y), ``aspect`` is the window's height. Over the outer ``feather`` of the radii
    what is generated fades into the picture; further out the picture stays as it is.
    """

    anchors: Sequence[Sequence[float]]
    ellipses: Sequence[Sequence[float]]
    feather: float = 0.28
    aspect: float = 1.0

    def __post_init__(self) -> None:
        (left, _), (right, _) = self.anchors
        if not left < right:
            raise ValueError(f"the first anchor of a region is the left one, not {self.anchors}")
        if not 0 < self.feather <= 1 or not self.ellipses or self.aspect <= 0:
            raise ValueError("a region has an aspect above 0, ellipses, and a feather of 0 to 1")

    def shape(self, width: int) -> tuple[int, int]:
        """Height and width of the window in pixels."""
        return round(self.aspect * width), width

    def weights(self, x: Tensor, y: Tensor) -> Tensor:
        """How much of what is generated shows at places of the window: 0 to 1."""
        distances = [
            ((x - cx) / rx).square() + ((y - cy) / ry).square() for cx, cy, rx, ry in self.ellipses
        ]
        nearest = torch.stack(distances).amin(0).sqrt()
        return ((1 - nearest) / self.feather).clamp(0, 1)

    def soft(self, width: int) -> Tensor:
        """The weights at the centres of a window's pixels, ``1×1×H×W``."""
        height, _ = self.shape(width)
        y = (torch.arange(height) + 0.5) / width
        x = (torch.arange(width) + 0.5) / width
        return self.weights(x[None, :], y[:, None])[None, None]

    def hole(self, width: int) -> Tensor:
        """1 where nothing of the picture shows, else 0, ``1×1×H×W``: hidden from a generator."""
        return (self.soft(width) >= 1).float()


@dataclass(frozen=True)
class Placement:
    """A window in a picture: (x, y) of the window, in its widths, is ``origin + x·u + y·v``.

    ``v`` is ``u`` turned by a quarter: windows are turned and scaled, never sheared.
    """

    origin: Point
    u: Point

    @classmethod
    def of(cls, region: Region, left: Point, right: Point) -> "Placement":
        """Lay the region's anchors on two points of a picture, in pixels."""
        (ax, ay), (bx, by) = region.anchors
        anchor, between = complex(ax, ay), complex(bx - ax, by - ay)
        u = complex(right[0] - left[0], right[1] - left[1]) / between
        origin = complex(*left) - anchor * u
        return cls((origin.real, origin.imag), (u.real, u.imag))

    @property
    def width(self) -> float:
        """The window's width in pixels of the picture."""
        return math.hypot(*self.u)

    def at(self, x: float, y: float) -> Point:
        """Where a point of the window lies in the picture."""
        place = complex(*self.origin) + complex(x, y) * complex(*self.u)
        return place.real, place.imag

    def of_picture(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Where places of the picture, in pixels, lie in the window."""
        inverse = 1 / complex(*self.u)
        dx, dy = x - self.origin[0], y - self.origin[1]
        return dx * inverse.real - dy * inverse.imag, dx * inverse.imag + dy * inverse.real
