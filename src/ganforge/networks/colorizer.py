"""Grey to colour: a residual U-Net that adds colour to an image and leaves its brightness alone.

Colour is a vector of two coordinates, Cb and Cr of ITU-R BT.601, beside the brightness Y that a
grey image is. Blocks normalise before they convolve (He et al. 2016, identity mappings), and the
mean over the whole image reaches every pixel, as in Iizuka et al. 2016: what colour grass has, the
pixels alone do not tell.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganforge.networks.sides import need_multiples

Norm = Callable[[int], nn.Module]


def colored(luma: Tensor, chroma: Tensor) -> Tensor:
    """RGB ``N×3×H×W`` of Y ``N×1×H×W`` and (Cb, Cr) ``N×2×H×W``, all of ``[-1, 1]`` (BT.601)."""
    blue, red = chroma[:, :1], chroma[:, 1:]
    green = (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587
    return torch.cat([luma + 1.402 * red, luma - green, luma + 1.772 * blue], dim=1)


class ResidualBlock(nn.Module):
    """Norm, ReLU and a 3×3 convolution, twice, around a skip connection."""

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        self.body = nn.Sequential(*_half(width, norm), *_half(width, norm))

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        return x + self.body(x)


def _half(width: int, norm: Norm) -> list[nn.Module]:
    return [norm(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False)]


class Colorizer(nn.Module):
    """Grey ``N×1×H×W`` to colour ``N×3×H×W``, both in ``[-1, 1]``; starts as the identity.

    H and W are any multiples of ``multiple``. ``widths`` are the channels at a half of the
    resolution, a quarter and so on, ``depths`` the residual blocks there; on the way up there is
    one block each. No noise: ``dropout`` belongs to translators that draw anew.

    Raises ValueError for other channels, for sides that are no multiples of ``multiple``, and for
    ``widths`` without as many ``depths``.
    """

    def __init__(
        self,
        channels_in: int = 1,
        channels_out: int = 3,
        widths: Sequence[int] = (48, 128, 256),
        depths: Sequence[int] = (1, 2, 2),
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        if (channels_in, channels_out) != (1, 3):
            raise ValueError(
                f"a colorizer goes from 1 channel to 3, not from {channels_in} to {channels_out}: "
                "take data=colorize, or generator@model.generator=unet"
            )
        if not widths or len(widths) != len(depths):
            raise ValueError(f"widths {list(widths)} need as many depths, not {list(depths)}")
        self.multiple = self.smallest = 2 ** len(widths)
        # Four grey pixels become four channels: colour is coarser than brightness.
        self.stem = nn.Conv2d(4, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width, norm) for _ in range(count)))
            for width, count in zip(widths, depths, strict=True)
        )
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Conv2d(narrow, wide, 2, 2) for narrow, wide in pairs)
        self.whole = nn.Linear(widths[-1], widths[-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(wide, narrow, 2, 2) for narrow, wide in pairs)
        self.decoder = nn.ModuleList(ResidualBlock(narrow, norm) for narrow, _ in pairs)
        self.output = nn.Sequential(
            norm(widths[0]), nn.ReLU(), nn.Conv2d(widths[0], 8, 3, padding=1), nn.PixelShuffle(2)
        )
        nn.init.zeros_(self.output[2].weight)
        nn.init.zeros_(self.output[2].bias)

    def forward(self, images: Tensor) -> Tensor:
        """Colour every image."""
        need_multiples(images, self.multiple, "colorizer", "set data.size")
        x = self.encoder[0](self.stem(F.pixel_unshuffle(images, 2)))
        skips = []
        for down, blocks in zip(self.down, self.encoder[1:], strict=True):
            skips.append(x)
            x = blocks(down(x))
        x = x + self.whole(F.relu(x).mean((2, 3)))[:, :, None, None]
        for skip, up, block in zip(skips[::-1], self.up[::-1], self.decoder[::-1], strict=True):
            x = block(skip + up(x))
        return colored(images, self.output(x).float()).clamp(-1, 1)
