"""The batch statistics of weights that were averaged: no training step ever normalised by them."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Meter:
    """Normalises each batch by its own statistics, as training does, and remembers them."""

    def __init__(self, norm: _BatchNorm) -> None:
        self._norm = norm
        self._means: list[Tensor] = []
        self._variances: list[Tensor] = []
        self._hook = norm.register_forward_pre_hook(self._measure)

    def _measure(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].float()
        variance, mean = torch.var_mean(x, [0, *range(2, x.dim())], correction=0)
        self._put(mean, variance)
        count = x.numel() // x.shape[1]
        self._means.append(mean)
        self._variances.append(variance * (count / max(count - 1, 1)))

    def _put(self, mean: Tensor, variance: Tensor) -> None:
        self._norm.running_mean.copy_(mean)
        self._norm.running_var.copy_(variance)

    def finish(self) -> None:
        """Leave the mean over batches behind; a layer that no batch reached keeps what it had."""
        self._hook.remove()
        if self._means:
            self._put(torch.stack(self._means).mean(0), torch.stack(self._variances).mean(0))


def batch_norms(network: nn.Module) -> list[_BatchNorm]:
    """The layers that normalise by remembered statistics."""
    norms = (part for part in network.modules() if isinstance(part, _BatchNorm))
    return [norm for norm in norms if norm.running_mean is not None]


@torch.no_grad()
def restate(network: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> None:
    """Give the batch norms of ``network`` the statistics that its own weights make of ``batches``.

    "Standing statistics" of Brock et al. 2019 (BigGAN, section 4.1). The network stays in
    evaluation mode: dropout does nothing, nothing is drawn, no process waits for another.
    """
    meters = [_Meter(norm) for norm in batch_norms(network)]
    try:
        for inputs in batches if meters else ():
            network(*inputs)
    finally:
        for meter in meters:
            meter.finish()
