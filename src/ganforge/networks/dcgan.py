"""The deep convolutional networks of Radford et al. 2016.

Strided instead of pooled, batch-normalised except where images enter and leave, ReLU in the
generator, LeakyReLU 0.2 in the discriminator, weights drawn from N(0, 0.02).
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

SIZES = (32, 64, 128)


def channel_plan(size: int, width: int) -> list[int]:
    """Channels from the image's side down to 4×4: ``width``, doubled at every halving.

    Raises ValueError for a size that these networks do not make.
    """
    if size not in SIZES:
        raise ValueError(
            f"the DCGAN networks make images of side {', '.join(map(str, SIZES))}, not {size}: "
            f"set data.size to one of these or choose model=gan, which takes any size"
        )
    halvings = size.bit_length() - 3  # from size down to 4
    return [width * 2**i for i in range(halvings)]


def initialize(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02), a norm's scale from N(1, 0.02) (section 4)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class DCGANGenerator(nn.Module):
    """Latents ``N×latent_dim`` to images ``N×channels×size×size`` in ``[-1, 1]``.

    ``labels`` says how labels enter, where there are any.
    """

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
        plan = channel_plan(size, width)[::-1]
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent_dim + self.labels.width, plan[0], 4, 1, 0, bias=False),
            self.labels.norm(plan[0]),
            nn.ReLU(inplace=True),
        ]
        for inputs, outputs in pairwise(plan):
            layers += [
                nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
                self.labels.norm(outputs),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ConvTranspose2d(plan[-1], channels, 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(initialize)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generate one image a latent."""
        return run(self.layers, self.labels.latents(z, labels)[:, :, None, None], labels)


class DCGANDiscriminator(nn.Module):
    """Images ``N×channels×size×size`` in ``[-1, 1]`` to logits ``N×1``.

    ``norm`` makes the layer after every inner convolution (batch norm in the paper);
    ``weight_norm`` wraps every convolution (such as the spectral norm of Miyato et al. 2018; None
    in the paper); ``head`` and ``concat_classes`` let labels in.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        width: int = 64,
        norm: Norm = nn.BatchNorm2d,
        weight_norm: WeightNorm | None = None,
        head: HeadFactory | None = None,
        concat_classes: int | None = 0,
    ) -> None:
        super().__init__()
        self.concat_classes = concat_classes
        plan = channel_plan(size, width)
        layers: list[nn.Module] = [
            nn.Conv2d(channels + concat_classes, plan[0], 4, 2, 1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for inputs, outputs in pairwise(plan):
            layers += [
                nn.Conv2d(inputs, outputs, 4, 2, 1),
                norm(outputs),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers += [nn.Conv2d(plan[-1], 1, 4, 1, 0), nn.Flatten()]
        self.layers = nn.Sequential(*layers)
        self.head = head(plan[-1]) if head else NoHead()
        self.apply(initialize)
        wrap(self, weight_norm)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Score every image."""
        *body, last, _flatten = self.layers
        x = with_labels(images, labels, self.concat_classes)
        return score(body, last, self.head, x, labels)
