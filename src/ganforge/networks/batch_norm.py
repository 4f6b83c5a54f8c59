"""Batch norm over the samples of all processes, on any device.

``torch.nn.SyncBatchNorm`` does it on CUDA alone. This one is plain arithmetic around a sum that is
differentiable, twice as well; two sums instead of one keep the variance exact in fp32.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn


class SumOverRanks(torch.autograd.Function):
    """The sum of all processes' tensors; its derivative is the sum of theirs."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:  # noqa: ARG004 (nothing to remember)
        """Add up."""
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # noqa: ARG004
        """Add up the gradients; as a function of its own, so that it has a derivative as well."""
        return SumOverRanks.apply(gradient)


class AcrossRanks:
    """Mixed into a batch norm: while it trains, all processes share mean and variance."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``N×C×…`` by the statistics of every process's ``x``."""
        if not (self.training and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        axes = [axis for axis in range(x.dim()) if axis != 1]
        count = SumOverRanks.apply(values.new_tensor(float(x.numel() // x.shape[1])))
        mean = SumOverRanks.apply(values.sum(axes)) / count
        centred = values - _along(mean, x)
        variance = SumOverRanks.apply(centred.square().sum(axes)) / count
        self._remember(mean.detach(), variance.detach(), count)
        out = centred * _along(torch.rsqrt(variance + self.eps), x)
        if self.affine:
            out = out * _along(self.weight, x) + _along(self.bias, x)
        return out.to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics, which hold the unbiased variance."""
        if not self.track_running_stats:
            return
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1 / self.num_batches_tracked
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * count / (count - 1), share)


class BatchNorm1dAcrossRanks(AcrossRanks, nn.BatchNorm1d):
    """Of ``N×C`` and ``N×C×L``."""


class BatchNorm2dAcrossRanks(AcrossRanks, nn.BatchNorm2d):
    """Of ``N×C×H×W``."""


SHARED = {nn.BatchNorm1d: BatchNorm1dAcrossRanks, nn.BatchNorm2d: BatchNorm2dAcrossRanks}


def share_batch_norm(network: nn.Module) -> None:
    """Let every batch norm in ``network`` see all processes; weights and names stay."""
    _exchange(network, SHARED)


def unshare_batch_norm(network: nn.Module) -> None:
    """Undo ``share_batch_norm``."""
    _exchange(network, {shared: plain for plain, shared in SHARED.items()})


def _exchange(network: nn.Module, classes: dict[type, type]) -> None:
    for module in network.modules():
        module.__class__ = classes.get(type(module), type(module))


def _along(values: Tensor, x: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (x.dim() - 2))
