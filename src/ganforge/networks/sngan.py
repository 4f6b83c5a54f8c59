"""The residual networks of SNGAN (Miyato et al. 2018, appendix B.4) and WGAN-GP (Gulrajani 2017).

At 32 pixels every block is equally wide, as for CIFAR-10; at 64 and 128 channels double towards the
small maps, as for ImageNet. What tells the two papers apart is the discriminator's ``weight_norm``
(spectral norm or none) and its ``pool`` (sum or mean).
"""

from itertools import pairwise

from torch import Tensor, nn

from ganforge.networks.conditional import (
    HeadFactory,
    NoHead,
    NoLabels,
    run,
    score,
    with_labels,
)
from ganforge.networks.norms import Norm, WeightNorm, wrap

# Channels in units of ``width``: of the generator's maps from 4×4 up, ...
GENERATOR = {32: (4, 4, 4, 4), 64: (16, 8, 4, 2, 1), 128: (16, 16, 8, 4, 2, 1)}
# ... and of the discriminator's blocks; True halves the map.
DISCRIMINATOR = {
    32: ((2, True), (2, True), (2, False), (2, False)),
    64: ((1, True), (2, True), (4, True), (8, True), (16, True)),
    128: ((1, True), (2, True), (4, True), (8, True), (16, True), (16, False)),
}


def check_size(size: int) -> int:
    """Raise ValueError for a size that these networks do not make."""
    if size not in GENERATOR:
        raise ValueError(
            f"the SNGAN networks make images of side {', '.join(map(str, GENERATOR))}, not {size}: "
            "set data.size to one of these"
        )
    return size


def initialize(block: nn.Module) -> None:
    """Draw weights as Glorot & Bengio 2010 do, residual ones wider by √2."""
    for name, module in block.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, gain=2**0.5 if "body" in name else 1.0)
            nn.init.zeros_(module.bias)


class UpBlock(nn.Module):
    """Norm, ReLU, twice as large, convolve; norm, ReLU, convolve; beside it a resized skip."""

    def __init__(self, inputs: int, outputs: int, labels: NoLabels) -> None:
        super().__init__()
        self.body = nn.ModuleList(
            [
                labels.norm(inputs),
                nn.ReLU(inplace=True),
                nn.Upsample(scale_factor=2),
                nn.Conv2d(inputs, outputs, 3, padding=1),
                labels.norm(outputs),
                nn.ReLU(inplace=True),
                nn.Conv2d(outputs, outputs, 3, padding=1),
            ]
        )
        # A 1×1 convolution before the enlargement gives the same as after it, for a quarter.
        self.skip = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.Upsample(scale_factor=2))

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """``N×inputs×H×W`` to ``N×outputs×2H×2W``."""
        return run(self.body, x, labels) + self.skip(x)


class SNGANGenerator(nn.Module):
    """Latents ``N×latent_dim`` to images ``N×channels×size×size`` in ``[-1, 1]``."""

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        size: int,
        width: int = 64,
        labels: NoLabels | None = None,
    ) -> None:
        super().__init__()
        self.labels = labels or NoLabels()
        plan = [width * factor for factor in GENERATOR[check_size(size)]]
        self.start = nn.Linear(latent_dim + self.labels.width, plan[0] * 16)
        self.blocks = nn.ModuleList(UpBlock(*pair, self.labels) for pair in pairwise(plan))
        self.end = nn.ModuleList(
            [
                self.labels.norm(plan[-1]),
                nn.ReLU(inplace=True),
                nn.Conv2d(plan[-1], channels, 3, padding=1),
                nn.Tanh(),
            ]
        )
        initialize(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generate one image a latent."""
        x = self.start(self.labels.latents(z, labels)).unflatten(1, (-1, 4, 4))
        for block in self.blocks:
            x = block(x, labels)
        return run(self.end, x, labels)


class DownBlock(nn.Module):
    """ReLU, convolve, ReLU, convolve, perhaps half as large; the ``first`` starts with pixels.

    ``norm`` makes a layer before each ReLU.
    """

    def __init__(
        self, inputs: int, outputs: int, down: bool, first: bool, norm: Norm = nn.Identity
    ) -> None:
        super().__init__()
        pool = [nn.AvgPool2d(2)] if down else []
        self.body = nn.Sequential(
            *([] if first else [norm(inputs), nn.ReLU()]),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            norm(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            *pool,
        )
        # A mean and a 1×1 convolution commute: the smaller map is convolved.
        changes = down or inputs != outputs
        self.skip = nn.Sequential(*pool, *([nn.Conv2d(inputs, outputs, 1)] if changes else []))

    def forward(self, x: Tensor) -> Tensor:
        """``N×inputs×H×W`` to ``N×outputs×H×W`` or half of that."""
        return self.body(x) + self.skip(x)


class SumPool(nn.Module):
    """The sum over the map, as ``N×C``."""

    def forward(self, x: Tensor) -> Tensor:
        """Sum ``N×C×H×W``."""
        return x.sum((2, 3))


class MeanPool(nn.Module):
    """The mean over the map, as ``N×C``."""

    def forward(self, x: Tensor) -> Tensor:
        """Average ``N×C×H×W``."""
        return x.mean((2, 3))


class SNGANDiscriminator(nn.Module):
    """Images ``N×channels×size×size`` in ``[-1, 1]`` to logits ``N×1``.

    ``norm`` makes a layer before each ReLU of the blocks (none in either paper); ``weight_norm``
    wraps every layer with weights; ``head`` and ``concat_classes`` let labels in.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        width: int = 64,
        norm: Norm = nn.Identity,
        weight_norm: WeightNorm | None = None,
        pool: nn.Module | None = None,
        head: HeadFactory | None = None,
        concat_classes: int | None = 0,
    ) -> None:
        super().__init__()
        self.concat_classes = concat_classes
        plan = [(width * factor, down) for factor, down in DISCRIMINATOR[check_size(size)]]
        inputs = [channels + concat_classes, *(outputs for outputs, _ in plan)]
        blocks = [
            DownBlock(inputs[i], *step, first=i == 0, norm=norm) for i, step in enumerate(plan)
        ]
        self.body = nn.Sequential(*blocks, nn.ReLU(), pool or SumPool())
        self.last = nn.Linear(inputs[-1], 1)
        self.head = head(inputs[-1]) if head else NoHead()
        for part in (*blocks, self.last):
            initialize(part)
        wrap(self, weight_norm)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Score every image."""
        x = with_labels(images, labels, self.concat_classes)
        return score(self.body, self.last, self.head, x, labels)
