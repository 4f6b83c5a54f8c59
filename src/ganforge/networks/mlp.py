"""Multilayer perceptrons, as in Goodfellow et al. 2014: for small images and for points."""

import math
from collections.abc import Sequence

from torch import Tensor, nn


def _hidden_layers(inputs: int, hidden: Sequence[int], dropout: float = 0.0) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for outputs in hidden:
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2, inplace=True)]
        layers += [nn.Dropout(dropout)] if dropout else []
        inputs = outputs
    return layers


class MLPGenerator(nn.Module):
    """Latents ``N×latent_dim`` to samples ``N×shape``; ``output`` bounds them (tanh for images)."""

    def __init__(
        self, latent_dim: int, shape: Sequence[int], hidden: Sequence[int], output: nn.Module
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        last = hidden[-1] if hidden else latent_dim
        self.layers = nn.Sequential(
            *_hidden_layers(latent_dim, hidden), nn.Linear(last, math.prod(self.shape)), output
        )

    def forward(self, z: Tensor) -> Tensor:
        """Generate one sample a latent."""
        return self.layers(z).unflatten(1, self.shape)


class MLPDiscriminator(nn.Module):
    """Samples ``N×shape`` to logits ``N×1``; ``dropout`` follows every hidden layer."""

    def __init__(self, shape: Sequence[int], hidden: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        inputs = math.prod(shape)
        last = hidden[-1] if hidden else inputs
        self.layers = nn.Sequential(
            nn.Flatten(), *_hidden_layers(inputs, hidden, dropout), nn.Linear(last, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Score every sample."""
        return self.layers(images)
