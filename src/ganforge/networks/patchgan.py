"""A critic of patches (Isola et al. 2017): one logit for every overlapping piece of the image."""

from itertools import pairwise

from torch import Tensor, nn

from ganforge.networks.conditional import in_fp32
from ganforge.networks.dcgan import initialize
from ganforge.networks.norms import Norm, WeightNorm, wrap


class PatchGAN(nn.Module):
    """Images ``N×channels×H×W`` in ``[-1, 1]`` to logits ``N×1×H'×W'``.

    C64-C128-C256-C512: with ``layers=3`` a logit sees 70×70 pixels, with 1 it sees 16×16, with 2
    34×34. The first layer has no norm, ``norm`` makes the others' (instance norm in CycleGAN);
    ``weight_norm`` wraps every convolution. A conditional critic sees ``channels_condition``
    channels more, in front.
    """

    def __init__(
        self,
        channels: int,
        width: int = 64,
        layers: int = 3,
        norm: Norm = nn.InstanceNorm2d,
        channels_condition: int = 0,
        weight_norm: WeightNorm | None = None,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"a PatchGAN has at least 1 layer, not {layers}: set layers")
        widths = [width * min(2**i, 8) for i in range(layers + 1)]
        blocks: list[nn.Module] = [
            nn.Conv2d(channels_condition + channels, width, 4, 2, 1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for i, (narrow, wide) in enumerate(pairwise(widths), start=1):
            stride = 1 if i == layers else 2
            blocks += [
                nn.Conv2d(narrow, wide, 4, stride, 1),
                norm(wide),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        blocks.append(nn.Conv2d(widths[-1], 1, 4, 1, 1))
        self.layers = nn.Sequential(*blocks)
        self.apply(initialize)
        wrap(self, weight_norm)

    def forward(self, images: Tensor) -> Tensor:
        """Score every patch."""
        *body, last = self.layers
        x = images
        for layer in body:
            x = layer(x)
        return in_fp32(last, x)
