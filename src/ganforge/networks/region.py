"""Generators that change a region of a picture after an exemplar."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganforge.networks.unet import UNetGenerator

Norm = Callable[[int], nn.Module]


class ExemplarEditor(UNetGenerator):
    """What to make of an exemplar: an offset ``N×C×H×W`` and, behind it, a gain ``N×1×H×W``.

    Sees [picture × (1 − hole), hole, exemplar], ``N×(2C+1)×H×W``. What is generated is
    gain × exemplar + offset: here the exemplar as it is (gain 1) with a correction in [-2, 2]. The
    correction is of light and lids, which are smooth, so that it may be made small and enlarged
    onto an exemplar of any size.
    """

    def __init__(
        self,
        channels: int,
        downsamplings: int = 4,
        width: int = 32,
        norm: Norm = nn.InstanceNorm2d,
    ) -> None:
        super().__init__(2 * channels + 1, channels, downsamplings, width, 0.0, norm)

    def forward(self, images: Tensor) -> Tensor:
        """Offset and gain for every picture."""
        offset = 2 * super().forward(images)
        return torch.cat([offset, torch.ones_like(offset[:, :1])], dim=1)


class HolePainter(UNetGenerator):
    """The hole painted from the picture around it alone: the exemplar is not looked at (gain 0).

    In and out as ``ExemplarEditor``, which it is the baseline of.
    """

    def __init__(
        self,
        channels: int,
        downsamplings: int = 4,
        width: int = 32,
        norm: Norm = nn.InstanceNorm2d,
    ) -> None:
        super().__init__(channels + 1, channels, downsamplings, width, 0.0, norm)
        self._seen = channels + 1

    def forward(self, images: Tensor) -> Tensor:
        """Offset and gain for every picture."""
        offset = super().forward(images[:, : self._seen])
        return torch.cat([offset, torch.zeros_like(offset[:, :1])], dim=1)
