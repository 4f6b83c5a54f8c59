"""The last good state of a training, in main memory, and the way back to it."""

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from ganforge.callbacks.ema import EMA
from ganforge.models.cyclegan import CycleGAN


def weights_are_finite(module: nn.Module) -> bool:
    """Whether no parameter and no buffer holds a NaN or an Inf."""
    tensors = [t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()]
    return math.isfinite(nn.utils.get_total_norm([t.detach().float() for t in tensors]).item())


def _kept(data: Any) -> Any:
    return apply_to_collection(data, Tensor, lambda t: t.detach().to("cpu", copy=True))


class Snapshot:
    """Networks, optimizers, averages and image pools as they were at ``step``."""

    def __init__(self, trainer: Trainer, module: LightningModule) -> None:
        self.step = trainer.global_step
        self._weights = _kept(dict(module.state_dict()))
        self._optimizers = [_kept(o.state_dict()) for o in trainer.strategy.optimizers]
        self._averages = [_kept(a.state_dict()) for a in _averages(trainer)]
        # Pictures that a broken generator drew would break its critic again.
        pools = module.pools if isinstance(module, CycleGAN) else {}
        self._pools = {side: _kept(pool.state_dict()) for side, pool in pools.items()}

    def restore(self, trainer: Trainer, module: LightningModule, rate_factor: float) -> None:
        """Go back, with the present learning rates times ``rate_factor``.

        Steps, schedules, data and noise go on: what broke the training is not met again.
        """
        module.load_state_dict(self._weights)
        for average, weights in zip(_averages(trainer), self._averages, strict=True):
            average.load_state_dict(weights)
        for ema in _emas(trainer):
            ema.outdate()
        for side, state in self._pools.items():
            module.pools[side].load_state_dict(state, module.device)
        for optimizer, state in zip(trainer.strategy.optimizers, self._optimizers, strict=True):
            rates = [_rates(group) for group in optimizer.param_groups]
            optimizer.load_state_dict(apply_to_collection(state, Tensor, torch.clone))
            for group, present in zip(optimizer.param_groups, rates, strict=True):
                group.update({name: rate * rate_factor for name, rate in present.items()})
        for config in trainer.lr_scheduler_configs:
            _slow_down(config.scheduler, rate_factor)


def _averages(trainer: Trainer) -> list[nn.Module]:
    return [average for ema in _emas(trainer) for average in ema.averages.values()]


def _emas(trainer: Trainer) -> list[EMA]:
    return [callback for callback in trainer.callbacks if isinstance(callback, EMA)]


def _rates(group: dict[str, Any]) -> dict[str, Any]:
    return {name: group[name] for name in ("lr", "initial_lr") if name in group}


def _slow_down(schedule: Any, factor: float) -> None:
    """Schedules count from the rates that they were made with, those in a sequence likewise."""
    schedule.base_lrs = [rate * factor for rate in schedule.base_lrs]
    for part in getattr(schedule, "_schedulers", []):
        _slow_down(part, factor)
