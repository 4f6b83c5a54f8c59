"""The networks of R3GAN (Huang et al. 2024, "The GAN is dead; long live the GAN!", section 4).

No normalisation anywhere. Every stage has residual blocks 1×1 – grouped 3×3 – 1×1, whose inner
width is expanded; between stages maps are resized bilinearly and 1×1 convolutions change the width,
always of the smaller map: as resizing is linear, the order does not matter but for the work.
Initialisation after Fix-up (Zhang et al. 2019): the last convolution of a block starts at zero, the
others are scaled by L^(-1/4) for L blocks, so that depth does not blow the signal up.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from ganforge.networks.conditional import (
    HeadFactory,
    NoHead,
    NoLabels,
    score,
    with_labels,
)
from ganforge.networks.norms import Norm, WeightNorm, refuse_layers, wrap

SLOPE = 0.2


def channel_plan(size: int, width: int, most: int = 4) -> list[int]:
    """Channels from the image's side down to 4×4: doubled at every halving, to ``most·width``.

    Raises ValueError for a size that is no power of two from 8 to 1024.
    """
    if size not in (8, 16, 32, 64, 128, 256, 512, 1024):
        raise ValueError(
            f"the R3GAN networks make images whose side is a power of two from 8 to 1024, not "
            f"{size}: set data.size"
        )
    return [width * min(2**i, most) for i in range(size.bit_length() - 2)]


def draw(layer: nn.Conv2d | nn.Linear, gain: float) -> None:
    """Draw weights from N(0, gain²/fan_in), biases 0."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, 0.0, gain / fan_in**0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ResidualBlock(nn.Module):
    """x + 1×1(leaky(grouped 3×3(leaky(1×1(x)))))."""

    def __init__(self, width: int, expansion: int, group_size: int, blocks: int) -> None:
        super().__init__()
        inner = width * expansion
        if inner % group_size:
            raise ValueError(
                f"R3GAN's grouped convolutions have {inner} channels (width × expansion), which "
                f"groups of {group_size} do not divide: change width or group_size"
            )
        self.body = nn.Sequential(
            nn.Conv2d(width, inner, 1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(inner, inner, 3, padding=1, groups=inner // group_size),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(inner, width, 1, bias=False),
        )
        gain = (2 / (1 + SLOPE**2)) ** 0.5 * blocks ** (-1 / 4)
        for i in (0, 2):
            draw(self.body[i], gain)
        nn.init.zeros_(self.body[4].weight)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        return x + self.body(x)


def stages(
    plan: list[int], resize: nn.Module, blocks: int, expansion: int, group_size: int
) -> list[nn.Module]:
    """Residual blocks at every width of the plan, and the way from one width to the next."""
    grows = isinstance(resize, nn.Upsample)
    count = blocks * len(plan)
    layers: list[nn.Module] = []
    for before, width in pairwise([plan[0], *plan]):
        way = [resize] if layers else []
        if before != width:
            change = nn.Conv2d(before, width, 1, bias=False)
            draw(change, 1.0)
            way.insert(0 if grows else 1, change)
        layers += way
        layers += [ResidualBlock(width, expansion, group_size, count) for _ in range(blocks)]
    return layers


class R3GANGenerator(nn.Module):
    """Latents ``N×latent_dim`` to images ``N×channels×size×size``; the last layer is linear.

    A learned 4×4 map is scaled by the latent, channel by channel. Labels go beside the latents.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        size: int,
        width: int = 64,
        blocks: int = 2,
        expansion: int = 2,
        group_size: int = 16,
        labels: NoLabels | None = None,
    ) -> None:
        super().__init__()
        self.labels = (labels or NoLabels()).beside_latents()
        plan = channel_plan(size, width)[::-1]
        self.basis = nn.Parameter(torch.randn(plan[0], 4, 4))
        self.start = nn.Linear(latent_dim + self.labels.width, plan[0], bias=False)
        draw(self.start, 1.0)
        resize = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.body = nn.Sequential(*stages(plan, resize, blocks, expansion, group_size))
        self.end = nn.Conv2d(plan[-1], channels, 1)
        draw(self.end, 1.0)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generate one image a latent."""
        scale = self.start(self.labels.latents(z, labels))
        return self.end(self.body(self.basis * scale[:, :, None, None]))


class R3GANDiscriminator(nn.Module):
    """Images ``N×channels×size×size`` in ``[-1, 1]`` to logits ``N×1``, the mirrored generator.

    A depthwise convolution over the last 4×4 map takes the place of a pooling. The last layer has
    no bias: a relativistic loss compares logits, so that it would never move. ``weight_norm``
    wraps every layer (none in the paper); there is no place for ``norm`` layers: ValueError.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        width: int = 64,
        blocks: int = 2,
        expansion: int = 2,
        group_size: int = 16,
        norm: Norm = nn.Identity,
        weight_norm: WeightNorm | None = None,
        head: HeadFactory | None = None,
        concat_classes: int | None = 0,
    ) -> None:
        super().__init__()
        refuse_layers(norm, self)
        self.concat_classes = concat_classes
        plan = channel_plan(size, width)
        start = nn.Conv2d(channels + concat_classes, plan[0], 1)
        gather = nn.Conv2d(plan[-1], plan[-1], 4, groups=plan[-1], bias=False)
        draw(start, 1.0)
        draw(gather, 1.0)
        middle = stages(plan, nn.AvgPool2d(2), blocks, expansion, group_size)
        self.body = nn.Sequential(start, *middle, gather, nn.Flatten())
        self.last = nn.Linear(plan[-1], 1, bias=False)
        draw(self.last, 1.0)
        self.head = head(plan[-1]) if head else NoHead()
        if weight_norm is not None:
            for block in (part for part in middle if isinstance(part, ResidualBlock)):
                draw(block.body[4], 1.0)  # a weight of zeros has no norm to divide by
        wrap(self, weight_norm)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Score every image."""
        x = with_labels(images, labels, self.concat_classes)
        return score(self.body, self.last, self.head, x, labels)
