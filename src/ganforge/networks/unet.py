"""The U-Net of pix2pix (Isola et al. 2017, section 6.1): an encoder, a decoder, skips between."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganforge.networks.dcgan import initialize
from ganforge.networks.sides import need_multiples

Norm = Callable[[int], nn.Module]


class UNetGenerator(nn.Module):
    """Images ``N×channels_in×H×W`` to ``N×channels_out×H×W`` in ``[-1, 1]``.

    ``downsamplings`` halvings, 8 in the paper for 256 pixels: a square of ``multiple`` pixels
    becomes 1×1 inside. H and W are any multiples of it. ``dropout`` in the three innermost
    decoder layers is the only noise.

    Raises ValueError where the input's sides are no multiples of ``multiple``.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        downsamplings: int = 8,
        width: int = 64,
        dropout: float = 0.5,
        norm: Norm = nn.InstanceNorm2d,
    ) -> None:
        super().__init__()
        if downsamplings < 2:
            raise ValueError(f"a U-Net halves at least twice, not {downsamplings} times")
        self.multiple = self.smallest = 2**downsamplings
        widths = [width * min(2**i, 8) for i in range(downsamplings)]
        inputs = [channels_in, *widths[:-1]]
        self.encoder = nn.ModuleList()
        for depth, (narrow, wide) in enumerate(zip(inputs, widths, strict=True)):
            # The outermost has no norm; the innermost is 1×1, where a norm would erase it.
            normed = 0 < depth < downsamplings - 1
            self.encoder.append(_down(narrow, wide, norm if normed else None, first=depth == 0))
        self.decoder = nn.ModuleList()
        for depth in reversed(range(1, downsamplings)):
            wide = widths[depth] * (1 if depth == downsamplings - 1 else 2)
            noise = dropout if downsamplings - 4 < depth else 0.0
            self.decoder.append(_up(wide, widths[depth - 1], norm, noise))
        self.output = nn.Sequential(
            nn.ReLU(), nn.ConvTranspose2d(2 * width, channels_out, 4, 2, 1), nn.Tanh()
        )
        self.apply(initialize)

    def forward(self, images: Tensor) -> Tensor:
        """Translate every image."""
        need_multiples(
            images, self.multiple, "U-Net", "set data.size or model.generator.downsamplings"
        )
        skips = []
        x = images
        for down in self.encoder:
            x = down(x)
            skips.append(x)
        skips.pop()
        for up in self.decoder:
            x = torch.cat([up(x), skips.pop()], dim=1)
        return self.output(x)


def _down(narrow: int, wide: int, norm: Norm | None, first: bool) -> nn.Sequential:
    layers: list[nn.Module] = [] if first else [nn.LeakyReLU(0.2)]
    layers.append(nn.Conv2d(narrow, wide, 4, 2, 1))
    return nn.Sequential(*layers, *([norm(wide)] if norm else []))


def _up(wide: int, narrow: int, norm: Norm, dropout: float) -> nn.Sequential:
    noise = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(wide, narrow, 4, 2, 1), norm(narrow), *noise)
