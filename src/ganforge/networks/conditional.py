"""How labels enter networks: int64 ``N``, one class a sample.

A generator takes a *label entry*, which makes its norms and widens its latents; a discriminator
takes a *head*, which reads its last features. Without labels these are ``NoLabels``, ``NoHead``.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HeadFactory = Callable[[int], nn.Module]


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm whose scale and shift belong to the class (Dumoulin et al. 2017)."""

    def __init__(self, channels: int, num_classes: int | None) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Embedding(num_classes, channels)
        self.shift = nn.Embedding(num_classes, channels)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Normalise ``N×C×H×W``, then scale and shift each sample as its class does."""
        scale, shift = self.scale(labels), self.shift(labels)
        return self.norm(x) * scale[:, :, None, None] + shift[:, :, None, None]


def run(layers: Iterable[nn.Module], x: Tensor, labels: Tensor | None) -> Tensor:
    """One layer after the other; those that ask for labels get them."""
    for layer in layers:
        x = layer(x, labels) if isinstance(layer, ConditionalBatchNorm2d) else layer(x)
    return x


class NoLabels(nn.Module):
    """No labels: plain batch norm, plain latents. The base of all label entries.

    ``width`` columns are added to latents; ``norm`` makes the layer in batch norm's place.
    """

    width = 0

    def norm(self, channels: int) -> nn.Module:
        """Batch norm."""
        return nn.BatchNorm2d(channels)

    def latents(self, z: Tensor, labels: Tensor | None) -> Tensor:  # noqa: ARG002
        """``N×D`` to ``N×(D + width)``: as they are."""
        return z

    def beside_latents(self) -> "NoLabels":
        """The entry of a network without norms: labels go beside the latents."""
        return self


class LabelConcat(NoLabels):
    """A one-hot label beside the latents (Mirza & Osindero 2014)."""

    def __init__(self, num_classes: int | None) -> None:
        super().__init__()
        self.num_classes = self.width = check_classes(num_classes)

    def latents(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Latents, then a 1 in the column of the class."""
        return torch.cat([z, F.one_hot(needed(labels), self.num_classes).to(z)], dim=1)


class LabelNorm(NoLabels):
    """Class-conditional batch norm, as in SNGAN and BigGAN; latents stay as they are."""

    def __init__(self, num_classes: int | None) -> None:
        super().__init__()
        self.num_classes = check_classes(num_classes)

    def norm(self, channels: int) -> nn.Module:
        """Batch norm with a scale and a shift for each class."""
        return ConditionalBatchNorm2d(channels, self.num_classes)

    def latents(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """As they are; without labels the norms would fail less clearly."""
        needed(labels)
        return z

    def beside_latents(self) -> LabelConcat:
        """There is no norm to steer."""
        return LabelConcat(self.num_classes)


class Steered(nn.Module):
    """A conditional generator that makes one class only: latents to images again."""

    def __init__(self, generator: nn.Module, label: int) -> None:
        super().__init__()
        self.generator, self.label = generator, label

    def forward(self, z: Tensor) -> Tensor:
        """Images of the class."""
        return self.generator(z, torch.full((len(z),), self.label, device=z.device))


class NoHead(nn.Module):
    """The logits are the answer."""

    def forward(self, logits: Tensor, features: Tensor, labels: Tensor | None) -> Tensor:  # noqa: ARG002
        """Logits ``N×1`` as they are."""
        return logits


class Projection(nn.Module):
    """Adds ``y·Vφ(x)`` to the logit: does the image look like its class (Miyato & Koyama 2018)."""

    def __init__(self, features: int, num_classes: int | None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(check_classes(num_classes), features)
        nn.init.normal_(self.embedding.weight, 0.0, 0.02)

    def forward(self, logits: Tensor, features: Tensor, labels: Tensor | None) -> Tensor:
        """Logits ``N×1`` plus the product of features ``N×C`` with the class's row."""
        return logits + (self.embedding(needed(labels)) * features).sum(1, keepdim=True)


class AuxiliaryClassifier(nn.Module):
    """Names the class as well (Odena et al. 2017, ACGAN): logits ``N×(1 + num_classes)``."""

    def __init__(self, features: int, num_classes: int | None) -> None:
        super().__init__()
        self.classes = nn.Linear(features, check_classes(num_classes))

    def forward(self, logits: Tensor, features: Tensor, labels: Tensor | None) -> Tensor:  # noqa: ARG002
        """Real or not, then one logit a class."""
        return torch.cat([logits, self.classes(features)], dim=1)


def in_fp32(last: nn.Module, x: Tensor) -> Tensor:
    """A critic's last layer outside autocast: bf16 would round a logit to 8 bits of mantissa."""
    with torch.autocast(x.device.type, enabled=False):
        return last(x.to(next(last.parameters()).dtype))


def score(
    body: Iterable[nn.Module], last: nn.Module, head: nn.Module, x: Tensor, labels: Tensor | None
) -> Tensor:
    """A discriminator's answer: features by ``body``, a logit by ``last``, the head on both."""
    for layer in body:
        x = layer(x)
    return head(in_fp32(last, x).flatten(1), x.flatten(2).sum(2) if x.dim() == 4 else x, labels)


def with_labels(x: Tensor, labels: Tensor | None, num_classes: int) -> Tensor:
    """Images with a plane a class, or rows with a column a class; none for 0 classes."""
    if not num_classes:
        return x
    one_hot = F.one_hot(needed(labels), num_classes).to(x)
    one_hot = one_hot.reshape(len(x), num_classes, *[1] * (x.dim() - 2))
    return torch.cat([x, one_hot.expand(-1, -1, *x.shape[2:])], dim=1)


def needed(labels: Tensor | None) -> Tensor:
    """Labels that must be there."""
    if labels is None:
        raise ValueError("a conditional network needs the label of every sample")
    return labels


def check_classes(num_classes: int | None) -> int:
    """Raise ValueError unless there are classes to tell apart."""
    if num_classes is None or num_classes < 2:
        raise ValueError(
            f"conditioning needs data with at least 2 classes, but data.num_classes is "
            f"{num_classes}: set it to the number of classes, or remove conditioning"
        )
    return num_classes
