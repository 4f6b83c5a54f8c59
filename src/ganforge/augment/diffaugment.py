"""Differentiable augmentation (Zhao et al. 2020): what the critic sees, real and fake alike.

Every operation maps float ``N×C×H×W`` in ``[-1, 1]`` to the same shape, draws one transformation
a sample from torch's global random state, and lets gradients through to the generator.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ganforge.augment.shapes import need_images


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    """One uniform number a sample, shaped ``N×1×1×1``."""
    return torch.empty(len(images), 1, 1, 1, device=images.device).uniform_(low, high)


class Color(nn.Module):
    """Random brightness (±0.5 of a 0–1 range), saturation (×0–2) and contrast (×0.5–1.5).

    In a stack of images, such as a translator's pairs, one draw changes each by itself: none shines
    through into another. ``stacked`` are their channels, as a model tells them; untold, every three
    channels are an image, and those that are left over are grey ones in front.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stacked: tuple[int, ...] | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Change colours by one draw a sample."""
        need_images(images, self)
        # The paper adds ±0.5 to images in [-1, 1].
        brightness = _uniform(images, -0.5, 0.5)
        saturation, contrast = _uniform(images, 0, 2), _uniform(images, 0.5, 1.5)
        channels = images.shape[1]
        sizes = self.stacked or [1] * (channels % 3) + [3] * (channels // 3)
        changed = []
        for image in images.split(list(sizes), dim=1):
            image = image + brightness
            image = torch.lerp(image.mean(1, keepdim=True), image, saturation)
            changed.append(torch.lerp(image.mean((1, 2, 3), keepdim=True), image, contrast))
        return torch.cat(changed, dim=1) if len(changed) > 1 else changed[0]


class Translation(nn.Module):
    """Random shift by up to ``ratio`` of each side; what comes in from outside is zero."""

    def __init__(self, ratio: float = 0.125) -> None:
        super().__init__()
        self.ratio = ratio

    def forward(self, images: Tensor) -> Tensor:
        """Shift every sample by whole pixels."""
        need_images(images, self)
        count, _, height, width = images.shape
        rows = _shifted_indices(count, height, self.ratio, images.device)
        columns = _shifted_indices(count, width, self.ratio, images.device)
        padded = nn.functional.pad(images, (1, 1, 1, 1))
        samples = torch.arange(count, device=images.device)[:, None, None]
        shifted = padded.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]]
        return shifted.permute(0, 3, 1, 2)


def _shifted_indices(count: int, length: int, ratio: float, device: torch.device) -> Tensor:
    """Indices ``N×length`` into an axis padded by one zero on either side."""
    most = int(length * ratio + 0.5)
    shifts = torch.randint(-most, most + 1, (count, 1), device=device)
    return (torch.arange(length, device=device) + shifts + 1).clamp(0, length + 1)


class Cutout(nn.Module):
    """Set to zero one random square of ``ratio`` of the side, which may reach over the border."""

    def __init__(self, ratio: float = 0.5) -> None:
        super().__init__()
        self.ratio = ratio

    def forward(self, images: Tensor) -> Tensor:
        """Cut one square out of every sample."""
        need_images(images, self)
        count, _, height, width = images.shape
        inside_rows = self._inside(count, height, images.device)
        inside_columns = self._inside(count, width, images.device)
        hole = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
        return images.masked_fill(hole, 0.0)

    def _inside(self, count: int, length: int, device: torch.device) -> Tensor:
        """Which positions ``N×length`` of an axis the square covers."""
        side = int(length * self.ratio + 0.5)
        centre = torch.randint(0, length + (1 - side % 2), (count, 1), device=device)
        start = centre - side // 2
        positions = torch.arange(length, device=device)
        return (positions >= start) & (positions < start + side)


class DiffAugment(nn.Sequential):
    """The operations of Zhao et al. 2020, one after the other."""

    def __init__(self, operations: Iterable[nn.Module]) -> None:
        super().__init__(*operations)
