"""How different two images look to a network: LPIPS (Zhang et al. 2018) without learned weights."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ganforge.latent.space import Space
from ganforge.utils.errors import UserError

Activations = Callable[[Tensor], Sequence[Tensor]]


def embed(activations: Activations, images: Tensor) -> list[Tensor]:
    """Feature maps of float images, of unit length over the channels at every place."""
    maps = activations(images)
    return [m / m.square().sum(1, keepdim=True).add(1e-10).sqrt() for m in maps]


def distance(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    """Mean over layers and places of the squared difference of embedded maps, shape ``N``.

    0 for equal images; at most 4. One of the two may hold a single image.
    """
    layers = [(a - b).square().sum(1).mean((1, 2)) for a, b in zip(one, other, strict=True)]
    return torch.stack(layers).mean(0)


def need_activations(space: Space) -> Activations:
    """The space's differentiable feature maps, or a UserError that says what has them."""
    if space.activations is None:
        raise UserError(
            "this tool needs features that can be differentiated: choose features=cnn, whose "
            "weights ship for some data sets (features.weights=NAME takes another one's)"
        )
    return space.activations
