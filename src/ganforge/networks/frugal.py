"""Networks for small budgets: what few minutes of two CPU cores are spent on best.

The generator enlarges by repeating pixels and 3×3 convolutions (Odena et al. 2016: transposed
convolutions leave a lattice); the last step is a pixel shuffle (Shi et al. 2016), so that nothing
is convolved at full size, where it costs most; the first map gates the channels of the last one
(skip-layer excitation, Liu et al. 2021). The discriminator is DCGAN's, drawn after He et al. 2015,
and sees how alike the images of a batch are (Karras et al. 2018).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from ganforge.networks.conditional import (
    HeadFactory,
    NoHead,
    NoLabels,
    run,
    score,
    with_labels,
)
from ganforge.networks.dcgan import initialize
from ganforge.networks.norms import Norm, WeightNorm, wrap

SIZES = (32, 64, 128, 256, 512)
SLOPE = 0.2


def channel_plan(size: int, width: int, most: int = 8) -> list[int]:
    """Channels from half the image's side down to 4×4: doubled each time, to ``most·width``.

    Raises ValueError for a size that these networks do not make.
    """
    if size not in SIZES:
        raise ValueError(
            f"the frugal networks make images of side {', '.join(map(str, SIZES))}, not {size}: "
            f"set data.size to one of these or choose model=gan, which takes any size"
        )
    return [width * min(2**i, most) for i in range(size.bit_length() - 3)]


class Excitation(nn.Module):
    """A 4×4 map says how much of each channel of a later map is let through (Liu et al. 2021)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(inputs, outputs, 4), nn.SiLU(), nn.Conv2d(outputs, outputs, 1), nn.Sigmoid()
        )

    def forward(self, first: Tensor, later: Tensor) -> Tensor:
        """Keep the shape of ``later``."""
        return later * self.gate(first)


class MinibatchDeviation(nn.Module):
    """Adds a channel: how much neighbours in the batch differ (Karras et al. 2018).

    Its value is the mean over channels and places of the deviation within groups of ``group``
    images that follow each other; a batch that this does not divide is one group.
    """

    def __init__(self, group: int = 8) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """``N×C×H×W`` to ``N×(C + 1)×H×W``."""
        count, _, height, width = x.shape
        group = self.group if count % self.group == 0 else count
        groups = x.float().unflatten(0, (-1, group))
        deviation = (groups.var(1, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
        plane = deviation.repeat_interleave(group).to(x.dtype)[:, None, None, None]
        return torch.cat([x, plane.expand(-1, 1, height, width)], dim=1)


class FrugalGenerator(nn.Module):
    """Latents ``N×latent_dim`` to images ``N×channels×size×size`` in ``[-1, 1]``.

    ``labels`` says how labels enter, where there are any.
    """

    def __init__(
        self,
        latent_dim: int,
        channels: int,
        size: int,
        width: int = 32,
        labels: NoLabels | None = None,
    ) -> None:
        super().__init__()
        self.labels = labels or NoLabels()
        plan = channel_plan(size, width)[::-1]
        self.start = nn.Sequential(
            nn.ConvTranspose2d(latent_dim + self.labels.width, plan[0], 4, bias=False),
            self.labels.norm(plan[0]),
            nn.ReLU(inplace=True),
        )
        stages: list[nn.Module] = []
        for inputs, outputs in pairwise(plan):
            stages += [
                nn.Upsample(scale_factor=2),
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                self.labels.norm(outputs),
                nn.ReLU(inplace=True),
            ]
        self.stages = nn.Sequential(*stages)
        self.excitation = Excitation(plan[0], plan[-1])
        last = nn.Conv2d(plan[-1], 4 * channels, 3, padding=1)
        self.end = nn.Sequential(last, nn.PixelShuffle(2), nn.Tanh())
        self.apply(initialize)
        with torch.no_grad():  # the four pixels of a place start alike (Aitken et al. 2017)
            last.weight.copy_(last.weight[::4].repeat_interleave(4, 0))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generate one image a latent."""
        first = run(self.start, self.labels.latents(z, labels)[:, :, None, None], labels)
        return self.end(self.excitation(first, run(self.stages, first, labels)))


class FrugalDiscriminator(nn.Module):
    """Images ``N×channels×size×size`` in ``[-1, 1]`` to logits ``N×1``.

    An image's logit depends on its neighbours in the batch. ``norm`` makes the layer after every
    inner convolution (none by default), ``weight_norm`` wraps every convolution; ``head`` and
    ``concat_classes`` let labels in.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        width: int = 32,
        norm: Norm = nn.Identity,
        weight_norm: WeightNorm | None = None,
        head: HeadFactory | None = None,
        concat_classes: int = 0,
    ) -> None:
        super().__init__()
        self.concat_classes = concat_classes
        plan = channel_plan(size, width)
        features = plan[-1]
        plan[-1] -= 1  # the deviation's channel: convolutions like multiples of 16
        layers: list[nn.Module] = [
            nn.Conv2d(channels + concat_classes, plan[0], 4, 2, 1),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
        for inputs, outputs in pairwise(plan):
            layers += [
                nn.Conv2d(inputs, outputs, 4, 2, 1),
                norm(outputs),
                nn.LeakyReLU(SLOPE, inplace=True),
            ]
        layers += [
            MinibatchDeviation(),
            nn.Conv2d(features, features, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
        self.body = nn.Sequential(*layers)
        self.last = nn.Conv2d(features, 1, 4)
        self.head = head(features) if head else NoHead()
        for layer in (part for part in self.modules() if isinstance(part, nn.Conv2d)):
            nn.init.kaiming_normal_(layer.weight, SLOPE)
            nn.init.zeros_(layer.bias)
        wrap(self, weight_norm)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Score every image."""
        x = with_labels(images, labels, self.concat_classes)
        return score(self.body, self.last, self.head, x, labels)
