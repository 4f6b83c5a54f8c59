"""The residual translator of Johnson et al. 2016, as CycleGAN uses it (Zhu et al. 2017, appendix).

c7s1-64, d128, d256, residual blocks, u128, u64, c7s1: reflection padding and instance norm. Every
image is normalised by itself, so a batch gives what its images give alone.
"""

from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from ganforge.networks.dcgan import initialize

# Without affine parameters, as in the reference implementation; no bias before a norm.
_norm = partial(nn.InstanceNorm2d, affine=False)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions around a skip connection; dropout between them where asked."""

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(width),
            nn.ReLU(inplace=True),
            *([nn.Dropout(dropout)] if dropout else []),
            *_convolution(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        return x + self.body(x)


def _convolution(width: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3, bias=False), _norm(width)]


class ResnetGenerator(nn.Module):
    """Images ``N×channels_in×H×W`` to ``N×channels_out×H×W`` in ``[-1, 1]``.

    H and W are any multiples of ``multiple``, at least ``smallest``. The paper takes 6 blocks up
    to 128 pixels, 9 above.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        width: int = 64,
        blocks: int = 9,
        downsamplings: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.multiple = 2**downsamplings
        self.smallest = 4 * self.multiple
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(channels_in, width, 7, bias=False),
            _norm(width),
            nn.ReLU(inplace=True),
        ]
        widths = [width * 2**i for i in range(downsamplings + 1)]
        for narrow, wide in pairwise(widths):
            layers += [
                nn.Conv2d(narrow, wide, 3, 2, 1, bias=False),
                _norm(wide),
                nn.ReLU(inplace=True),
            ]
        layers += [ResidualBlock(widths[-1], dropout) for _ in range(blocks)]
        for wide, narrow in pairwise(widths[::-1]):
            layers += [
                nn.ConvTranspose2d(wide, narrow, 3, 2, 1, output_padding=1, bias=False),
                _norm(narrow),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels_out, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(initialize)

    def forward(self, images: Tensor) -> Tensor:
        """Translate every image."""
        return self.layers(images)


class ResnetEditor(ResnetGenerator):
    """Add a change to the image instead of drawing it anew: starts as the identity.

    For domains that differ in a part of the picture. Not in the paper, whose generators have to
    learn to copy first. The sum, in ``[-3, 3]``, is not clamped: on a white background a spike
    would be hidden by a clamp, and instance norm grows spikes where no loss sees them (Karras et
    al. 2020, StyleGAN2, section 2).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        width: int = 64,
        blocks: int = 9,
        downsamplings: int = 2,
        dropout: float = 0.0,
    ) -> None:
        if channels_in != channels_out:
            raise ValueError(
                f"An editor keeps the channels, but is to go from {channels_in} to {channels_out}: "
                "take ganforge.networks.resnet.ResnetGenerator."
            )
        super().__init__(channels_in, channels_out, width, blocks, downsamplings, dropout)
        nn.init.zeros_(self.layers[-2].weight)

    def forward(self, images: Tensor) -> Tensor:
        """Translate every image; a change of 2 makes black white."""
        return images + 2 * self.layers(images)
