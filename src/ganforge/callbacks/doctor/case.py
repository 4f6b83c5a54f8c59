"""What can be known of a training before it starts: the facts that rules are judged against."""

import math
import re
from inspect import signature
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrize import is_parametrized

from ganforge.callbacks.doctor.probe import Probe
from ganforge.callbacks.doctor.vitals import Case
from ganforge.models.latent import LatentModel

# Fine where losses have their targets; the ends tell whether a loss has a floor.
GRID = (-16.0, -8.0, -4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


def loss_range(loss: Any) -> tuple[float, float] | None:
    """The critic's loss at best and when it guesses; None where the loss has no floor.

    Both are searched on a grid of constant logits, so that any loss of the family can be asked.
    """

    def cost(real: float, fake: float) -> float:
        return float(loss.discriminator(torch.tensor([real]), torch.tensor([fake])))

    far = min(cost(real, fake) for real in GRID for fake in GRID)
    near = min(cost(real, fake) for real in GRID[1:-1] for fake in GRID[1:-1])
    if near - far > 0.1:
        return None
    chance = min(cost(logit, logit) for logit in GRID)
    return (far, chance) if chance - far > 1e-3 else None


def overrides_in_use(module: LightningModule) -> frozenset[str]:
    """Stabilisers that the training already has, as a user would type them."""
    objective = getattr(module, "objective", None)
    used = [f"regularizer=[{name}]" for name in getattr(objective, "regularizers", {})]
    for group in ("augment", "loss"):
        name = type(getattr(objective, group, None)).__name__
        used.append(f"{group}={re.sub(r'(?<!^)(?=[A-Z])', '_', name).lower()}")
    if isinstance(getattr(objective, "augment", None), nn.Module):
        kinds = {type(part).__name__.lower() for part in objective.augment.modules()}
        used += [f"augment={kind}" for kind in kinds]
    if any(is_parametrized(part) for part in module.modules()):
        used.append("norm=spectral")
    if getattr(module, "clip_gradient", None) is not None:
        used.append("model.clip_gradient=1.0")
    return frozenset(used)


def gradient_weights(module: LightningModule) -> dict[str, float]:
    """Weights of R1 and R2, also of lazy ones, by what a user would type to set them."""
    found = {}
    for name, part in getattr(getattr(module, "objective", None), "regularizers", {}).items():
        inner = getattr(part, "regularizer", None)
        key = f"model.objective.regularizers.{name}" + (".regularizer" if inner else "")
        if name in ("r1", "lazy_r1") and part.per_sample is False:
            found[f"{key}.weight"] = float((inner or part).weight)
    return found


def describe(trainer: Trainer, module: LightningModule, probe: Probe) -> Case:
    """Collect the facts of a training."""
    loss = getattr(getattr(module, "objective", None), "loss", None)
    reach = loss_range(loss) if loss is not None else None
    # Remedies name the configuration's rate: a warm-up, or a resumed schedule, holds another one.
    groups = [optimizer.param_groups[0] for optimizer in trainer.strategy.optimizers]
    rates = [float(group.get("initial_lr", group["lr"])) for group in groups]
    rates += [math.nan] * (2 - len(rates))
    shape = getattr(trainer.datamodule, "shape", (0, 0, 0))
    _, critics = module.players()
    return Case(
        floor=reach[0] if reach else None,
        chance=reach[1] if reach else None,
        generator_rate=rates[0],
        critic_rate=rates[1],
        data_spread=probe.data_spread,
        distance=probe.distance,
        images=len(shape) == 3,
        latent=isinstance(module, LatentModel),
        weight_norm=all("weight_norm" in signature(type(c)).parameters for c in critics),
        batch_norm=any(isinstance(part, _BatchNorm) for c in critics for part in c.modules()),
        gradient_weights=gradient_weights(module),
        in_use=overrides_in_use(module),
    )
