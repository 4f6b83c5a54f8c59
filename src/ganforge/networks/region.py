"""Generators that change a region of a picture after an exemplar."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganforge.networks.norms import Norm, WeightNorm, wrap
from ganforge.networks.sides import need_multiples
from ganforge.networks.unet import UNetGenerator


class ExemplarEditor(UNetGenerator):
    """What to make of an exemplar: an offset ``N×C×H×W`` and, behind it, a gain ``N×1×H×W``.

    Sees [picture × (1 − hole), hole, exemplar], ``N×(2C+1)×H×W``. What is generated is
    gain × exemplar + offset: here the exemplar as it is (gain 1) with a correction in [-2, 2]. The
    correction is of light and lids, which are smooth, so that it may be made small and enlarged
    onto an exemplar of any size.
    """

    hears = False

    def __init__(
        self,
        channels: int,
        downsamplings: int = 4,
        width: int = 32,
        norm: Norm = nn.InstanceNorm2d,
    ) -> None:
        super().__init__(2 * channels + 1, channels, downsamplings, width, 0.0, norm)

    def forward(self, images: Tensor) -> Tensor:
        """Offset and gain for every picture."""
        offset = 2 * super().forward(images)
        return torch.cat([offset, torch.ones_like(offset[:, :1])], dim=1)


class HolePainter(UNetGenerator):
    """The hole painted from the picture around it alone: the exemplar is not looked at (gain 0).

    In and out as ``ExemplarEditor``, which it is the baseline of.
    """

    hears = False

    def __init__(
        self,
        channels: int,
        downsamplings: int = 4,
        width: int = 32,
        norm: Norm = nn.InstanceNorm2d,
    ) -> None:
        super().__init__(channels + 1, channels, downsamplings, width, 0.0, norm)
        self._seen = channels + 1

    def forward(self, images: Tensor) -> Tensor:
        """Offset and gain for every picture."""
        offset = super().forward(images[:, : self._seen])
        return torch.cat([offset, torch.zeros_like(offset[:, :1])], dim=1)


def affine_instance_norm(width: int) -> nn.Module:
    """Instance norm with a gain and an offset of its own."""
    return nn.InstanceNorm2d(width, affine=True)


class Ear(nn.Sequential):
    """A sound ``N×1×32×32`` to a vector ``N×size``."""

    def __init__(self, size: int) -> None:
        layers: list[nn.Module] = []
        narrow = 1
        for wide in (24, 48, 96):
            layers += [nn.Conv2d(narrow, wide, 3, 2, 1), nn.LeakyReLU(0.2)]
            narrow = wide
        super().__init__(*layers, nn.Flatten(), nn.Linear(96 * 16, size), nn.LeakyReLU(0.2))


class GatedSpeaker(nn.Module):
    """A mouth that says a sound: where to edit the exemplar, and where to paint anew.

    In and out as ``ExemplarEditor``, with a sound ``N×1×32×32`` beside the picture. The sound is
    heard at the innermost layer and by FiLM (Perez et al. 2018), a gain and an offset for every
    channel, on the way up. A gate k parts the work: generated = k × (exemplar + edit) + (1 − k) ×
    paint, which is gain k and offset k × edit + (1 − k) × paint.
    """

    hears = True  # takes a sound beside the picture

    def __init__(
        self,
        channels: int,
        downsamplings: int = 4,
        width: int = 32,
        heard: int = 128,
        norm: Norm = affine_instance_norm,
    ) -> None:
        super().__init__()
        if downsamplings < 2:
            raise ValueError(f"a U-Net halves at least twice, not {downsamplings} times")
        self.multiple, self._channels = 2**downsamplings, channels
        widths = [width * min(2**i, 4) for i in range(downsamplings)]
        self.ear = Ear(heard)
        self.down = nn.ModuleList()
        for depth, (narrow, wide) in enumerate(pairwise([2 * channels + 1, *widths])):
            normed = [norm(wide)] if 0 < depth < downsamplings - 1 else []
            self.down.append(
                nn.Sequential(nn.Conv2d(narrow, wide, 4, 2, 1), *normed, nn.LeakyReLU(0.2))
            )
        self.up, self.film = nn.ModuleList(), nn.ModuleList()
        below = widths[-1] + heard
        for wide in widths[-2::-1]:
            self.up.append(nn.Sequential(nn.ConvTranspose2d(below, wide, 4, 2, 1), norm(wide)))
            self.film.append(nn.Linear(heard, 2 * wide))
            below = 2 * wide
        self.output = nn.ConvTranspose2d(below, 2 * channels + 1, 4, 2, 1)

    def forward(self, images: Tensor, sound: Tensor) -> Tensor:
        """Offset and gain for every picture beside its sound."""
        need_multiples(
            images, self.multiple, "U-Net", "set data.size or model.generator.downsamplings"
        )
        heard, x, skips = self.ear(sound), images, []
        for down in self.down:
            x = down(x)
            skips.append(x)
        skips.pop()
        x = torch.cat([x, heard[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)
        for up, film in zip(self.up, self.film, strict=True):
            gain, offset = film(heard)[:, :, None, None].chunk(2, dim=1)
            x = F.leaky_relu(up(x) * (1 + gain) + offset, 0.2)
            x = torch.cat([x, skips.pop()], dim=1)
        edit, paint, gate = self.output(x).split([self._channels, self._channels, 1], dim=1)
        gate = (gate + 1).sigmoid()  # begins by editing
        return torch.cat([gate * 2 * edit.tanh() + (1 - gate) * paint.tanh(), gate], dim=1)


class ListeningCritic(nn.Module):
    """A critic of patches of [window, exemplar] that also hears: ``N×2C×H×W`` to logits.

    The sound is projected onto the features (Miyato & Koyama 2018), as labels are elsewhere; every
    patch gets the same addition.
    """

    def __init__(
        self, channels: int, width: int = 32, weight_norm: WeightNorm | None = None
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(2 * channels, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 3, 1, 1),
            nn.LeakyReLU(0.2),
        )
        self.patches = nn.Conv2d(4 * width, 1, 3, 1, 1)
        self.shape, self.ear = nn.Linear(16 * width, 128), Ear(128)
        for part in (self.features, self.patches, self.shape):
            wrap(part, weight_norm)

    def forward(self, images: Tensor, sound: Tensor) -> Tensor:
        """Score every patch beside its sound."""
        features = self.features(images)
        shape = self.shape(F.adaptive_avg_pool2d(features, 2).flatten(1))
        match = (shape * F.normalize(self.ear(sound), dim=1)).sum(1)
        return self.patches(features) + match[:, None, None, None]
