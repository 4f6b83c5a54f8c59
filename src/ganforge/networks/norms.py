"""What keeps a critic's scale: a layer after a convolution, or a wrapper of weights."""

from collections.abc import Callable

from torch import nn

Norm = Callable[[int], nn.Module]
WeightNorm = Callable[[nn.Module], nn.Module]


def wrap(network: nn.Module, weight_norm: WeightNorm | None) -> None:
    """Put ``weight_norm`` around every convolution, linear layer and embedding, in place."""
    for module in list(network.modules()) if weight_norm is not None else []:
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            weight_norm(module)


def refuse_layers(norm: Norm, network: nn.Module) -> None:
    """Raise ValueError where layers are chosen for a network that has no place for them."""
    if not isinstance(layer := norm(1), nn.Identity):
        raise ValueError(
            f"{type(network).__name__} has no place for {type(layer).__name__} layers: choose "
            "norm=none or norm=spectral"
        )
