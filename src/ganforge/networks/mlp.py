"""Multilayer perceptrons, as in Goodfellow et al. 2014: for small images and for points."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ganforge.networks.conditional import (
    HeadFactory,
    NoHead,
    NoLabels,
    score,
    with_labels,
)
from ganforge.networks.norms import Norm, WeightNorm, refuse_layers, wrap


def _hidden_layers(inputs: int, hidden: Sequence[int], dropout: float = 0.0) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for outputs in hidden:
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2, inplace=True)]
        layers += [nn.Dropout(dropout)] if dropout else []
        inputs = outputs
    return layers


class MLPGenerator(nn.Module):
    """Latents ``N×latent_dim`` to samples ``N×shape``; ``output`` bounds them (tanh for images).

    Labels go beside the latents.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: Sequence[int],
        hidden: Sequence[int],
        output: nn.Module,
        labels: NoLabels | None = None,
    ) -> None:
        super().__init__()
        self.labels = (labels or NoLabels()).beside_latents()
        latent_dim += self.labels.width
        self.shape = tuple(shape)
        last = hidden[-1] if hidden else latent_dim
        self.layers = nn.Sequential(
            *_hidden_layers(latent_dim, hidden), nn.Linear(last, math.prod(self.shape)), output
        )

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generate one sample a latent."""
        return self.layers(self.labels.latents(z, labels)).unflatten(1, self.shape)


class MLPDiscriminator(nn.Module):
    """Samples ``N×shape`` to logits ``N×1``; ``dropout`` follows every hidden layer.

    ``weight_norm`` wraps every layer; ``head`` and ``concat_classes`` let labels in. There is no
    place for ``norm`` layers: ValueError.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int],
        dropout: float = 0.0,
        norm: Norm = nn.Identity,
        weight_norm: WeightNorm | None = None,
        head: HeadFactory | None = None,
        concat_classes: int | None = 0,
    ) -> None:
        super().__init__()
        refuse_layers(norm, self)
        self.concat_classes = concat_classes
        inputs = math.prod(shape) + concat_classes
        last = hidden[-1] if hidden else inputs
        self.layers = nn.Sequential(
            nn.Flatten(), *_hidden_layers(inputs, hidden, dropout), nn.Linear(last, 1)
        )
        self.head = head(last) if head else NoHead()
        wrap(self, weight_norm)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Score every sample."""
        flatten, *body, last = self.layers
        x = with_labels(flatten(images), labels, self.concat_classes)
        return score(body, last, self.head, x, labels)
