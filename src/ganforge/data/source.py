"""What a source of images must offer: the one contract between data sets and the cache."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ganforge.utils.errors import UserError

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Chunk:
    """Some rows of a split: uint8 ``n×C×H×W`` images (toys: float32 ``n×D``) and their labels.

    ``labels`` is int64 ``n``, ``attributes`` int64 ``n×A``; None where the source has none.
    """

    images: np.ndarray
    labels: np.ndarray | None = None
    attributes: np.ndarray | None = None


@dataclass(frozen=True)
class Names:
    """Words for the numbers: one per class, one list of values per attribute, in column order."""

    classes: list[str] | None = None
    attributes: dict[str, list[str]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


class Source(Protocol):
    """One family of data sets; each writes its rows once, into the cache."""

    label: str | None
    """Attribute that serves as the class, or None: then the chunks' own labels do."""

    def check(self, size: int | None, channels: int | None) -> None:
        """Raise UserError where this size or number of channels is impossible."""

    def key(self) -> dict[str, Any]:
        """Return the JSON facts that decide the content; missing files are fetched first."""

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:
        """Yield the rows of ``split`` in their final order."""

    def names(self) -> Names:
        """Return the names of classes and attributes; asked after all chunks were drawn."""


def check_size(what: str, size: int | None, low: int, high: int) -> None:
    """Raise UserError unless ``size`` lies in the range that ``what`` can be drawn at."""
    if size is None or not low <= size <= high:
        raise UserError(f"{what} have {low} to {high} pixels a side, not {size}: set data.size.")


def check_fraction(key: str, fraction: float) -> None:
    """Raise UserError unless ``fraction`` is a number between 0 and 1."""
    if not isinstance(fraction, int | float) or not 0 < fraction < 1:
        raise UserError(f"{key} is {fraction}: it must lie between 0 and 1.")
