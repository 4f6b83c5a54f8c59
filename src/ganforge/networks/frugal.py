"""Networks for small budgets: what few minutes of two CPU cores are spent on best.

The generator enlarges by repeating pixels and 3×3 convolutions (Odena et al. 2016: transposed
convolutions leave a lattice); the last step is a pixel shuffle (Shi et al. 2016), so that nothing
is convolved at full size, where it costs most; the first map gates the channels of the last one
(skip-layer excitation, Liu et al. 2021). The discriminator is DCGAN's, drawn after He et al. 2015,
and sees how alike the images of a batch are (Karras et al. 2018).
"""

from itertools import pairwise, product

import torch
import torch.nn.functional as F
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
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


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
        rows = x.permute(0, 2, 3, 1).float().reshape(-1, group, x[0].numel())
        apart = rows - rows.mean(1, keepdim=True)  # many times faster than var, by long rows
        deviation = (apart.square().mean(1) + 1e-8).sqrt().mean(1)
        plane = deviation.repeat_interleave(group).to(x.dtype)[:, None, None, None]
        return torch.cat([x, plane.expand(-1, 1, height, width)], dim=1)


class EnlargingConv2d(nn.Module):
    """Every pixel repeated to 2×2, then a 3×3 convolution, in one: a transposed convolution.

    Its 4×4 kernels are sums of the 3×3 ones, so that it draws no lattice, and costs 16 products a
    pixel of the input instead of 36.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs, 3, 3))
        spread = torch.zeros(9, 16)
        for (row, column), (down, right) in product(product(range(3), repeat=2), CORNERS):
            spread[3 * row + column, 4 * (2 - row + down) + 2 - column + right] = 1
        self.register_buffer("spread", spread, persistent=False)
        nn.init.normal_(self.weight, 0.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """``N×inputs×H×W`` to ``N×outputs×2H×2W``."""
        kernels = (self.weight.flatten(2) @ self.spread).unflatten(2, (4, 4))
        return F.conv_transpose2d(x, kernels, stride=2, padding=1)


class Modulated(nn.Module):
    """A norm whose channels are scaled and shifted as the latents say, then ReLU.

    Self-modulation (Chen et al. 2019): latents enter at every size, not at the first alone.
    """

    def __init__(self, norm: nn.Module, features: int, channels: int) -> None:
        super().__init__()
        self.norm = norm
        self.style = nn.Linear(features, 2 * channels)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, features: Tensor, labels: Tensor | None) -> Tensor:
        """Keep the shape of ``x``."""
        scale, shift = self.style(features)[:, :, None, None].chunk(2, dim=1)
        x = run([self.norm], x, labels)
        return self.activation(torch.addcmul(x + shift, x, scale))


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
        features: int = 128,
        mapping: int = 2,
    ) -> None:
        super().__init__()
        self.labels = labels or NoLabels()
        plan = channel_plan(size, width)[::-1]
        inputs = latent_dim + self.labels.width
        layers: list[nn.Module] = []
        for _ in range(mapping):
            layers += [nn.Linear(inputs, features), nn.LeakyReLU(SLOPE)]
            inputs = features
        self.mapping = nn.Sequential(*layers)
        self.start = nn.Sequential(
            nn.Linear(inputs, plan[0] * 16, bias=False), nn.Unflatten(1, (plan[0], 4, 4))
        )
        self.enlarge = nn.ModuleList(EnlargingConv2d(*pair) for pair in pairwise(plan))
        self.norms = nn.ModuleList(Modulated(self.labels.norm(c), inputs, c) for c in plan)
        last = nn.Conv2d(plan[-1], 4 * channels, 3, padding=1)
        self.end = nn.Sequential(last, nn.PixelShuffle(2), nn.Tanh())
        self.apply(initialize)
        for layer in (part for part in self.mapping if isinstance(part, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, SLOPE)
        with torch.no_grad():  # the four pixels of a place start alike (Aitken et al. 2017)
            last.weight.copy_(last.weight[::4].repeat_interleave(4, 0))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generate one image a latent."""
        features = self.mapping(self.labels.latents(z, labels))
        x = self.norms[0](self.start(features), features, labels)
        for enlarge, norm in zip(self.enlarge, self.norms[1:], strict=True):
            x = norm(enlarge(x), features, labels)
        return self.end(x)


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
