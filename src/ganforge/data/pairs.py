"""Pairs made from any set of images: the made side A beside the images themselves, B."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ganforge.data.source import Chunk, Names, Source
from ganforge.utils.errors import UserError


class Derived:
    """The images of another source, each turned into what a translator starts from.

    A derived side has one channel; ``make`` turns grey uint8 ``n×H×W`` into uint8 ``n×H×W``.
    """

    label = None
    version = 1  # raise it when the same image gives another

    def __init__(self, source: Source) -> None:
        self._source = source

    def make(self, grey: np.ndarray) -> np.ndarray:
        """Turn grey images into this side's."""
        raise NotImplementedError

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse what the source refuses, toys, and colour."""
        self._source.check(size, 3)
        if size is None or channels != 1:
            raise UserError(
                f"{type(self).__name__} gives grey images, not {channels} channels: "
                "leave data.channels_a at 1."
            )

    def key(self) -> dict[str, Any]:
        """Return the source's facts and what was made of them."""
        made = {"derived": type(self).__name__, "version": self.version}
        return made | {"source": self._source.key()}

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:  # noqa: ARG002
        """Yield the source's rows in their order."""
        for chunk in self._source.chunks(split, size, 3):
            yield Chunk(self.make(luma(chunk.images))[:, None])

    def names(self) -> Names:
        """Return what the source skipped."""
        return Names(skipped=self._source.names().skipped)


class Grey(Derived):
    """Brightness alone; the way back is colorization."""

    def make(self, grey: np.ndarray) -> np.ndarray:
        """Keep it."""
        return grey


class Edges(Derived):
    """Dark lines on white where brightness changes (Sobel); the way back is sketch to photo."""

    def make(self, grey: np.ndarray) -> np.ndarray:
        """Draw the gradient's size, blurred a little before, so that noise leaves no line."""
        images = torch.from_numpy(grey)[:, None].float() / 255
        blur = torch.tensor([1.0, 2.0, 1.0]) / 4
        smooth = _filtered(images, torch.outer(blur, blur))
        sobel = torch.outer(blur, torch.tensor([-1.0, 0.0, 1.0]))
        size = torch.hypot(_filtered(smooth, sobel), _filtered(smooth, sobel.T))
        lines = (1 - 2.5 * size).clamp(0, 1).mul(255).round().byte()
        return lines[:, 0].numpy()


def luma(images: np.ndarray) -> np.ndarray:
    """Brightness of uint8 ``n×3×H×W`` as uint8 ``n×H×W`` (ITU-R 601, rounded)."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return np.einsum("nchw,c->nhw", images.astype(np.float32), weights).round().astype(np.uint8)


def _filtered(images: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    return F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), kernel[None, None])
