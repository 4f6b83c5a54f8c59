"""Learning-rate schedules; a model steps them itself, as Lightning does not under our updates.

Each takes ``warm_up_steps``: until then the rate rises linearly, on top of what the schedule says
(Goyal et al. 2017, section 2.2).
"""

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def constant(optimizer: Optimizer, warm_up_steps: int = 0) -> LambdaLR:
    """Keep the rate, once it is warm."""
    return _schedule(optimizer, lambda _: 1.0, warm_up_steps)


def constant_then_linear(
    optimizer: Optimizer, total_steps: int, decay_from: float = 0.5, warm_up_steps: int = 0
) -> LambdaLR:
    """Keep the rate for a share ``decay_from`` of ``total_steps``, then fall linearly to zero.

    Zhu et al. 2017 keep it for the first half. Raises ValueError for an impossible share or count.
    """
    if total_steps < 1 or not 0 <= decay_from <= 1:
        raise ValueError(
            f"a schedule of {total_steps} steps that decays from {decay_from}: it takes at least "
            "1 step and a share between 0 and 1"
        )
    level = decay_from * total_steps

    def factor(step: int) -> float:
        return min(1.0, max(0.0, (total_steps - step) / max(total_steps - level, 1.0)))

    return _schedule(optimizer, factor, warm_up_steps)


def cosine(
    optimizer: Optimizer, total_steps: int, floor: float = 0.0, warm_up_steps: int = 0
) -> LambdaLR:
    """Fall along half a cosine to a share ``floor`` of the rate (Loshchilov & Hutter 2017, eq. 5).

    Raises ValueError for an impossible share or count.
    """
    if total_steps < 1 or not 0 <= floor <= 1:
        raise ValueError(
            f"a schedule of {total_steps} steps that falls to {floor}: it takes at least 1 step "
            "and a share between 0 and 1"
        )

    def factor(step: int) -> float:
        turned = math.pi * min(step / total_steps, 1.0)
        return floor + (1 - floor) * 0.5 * (1 + math.cos(turned))

    return _schedule(optimizer, factor, warm_up_steps)


def _schedule(optimizer: Optimizer, factor: Callable[[int], float], warm_up_steps: int) -> LambdaLR:
    """A factor of the rate by step, times the warm-up; the first update has step 0."""
    if warm_up_steps < 0:
        raise ValueError(f"schedule.warm_up_steps is {warm_up_steps}: it must not be negative")
    return LambdaLR(
        optimizer, lambda step: factor(step) * min(1.0, (step + 1) / max(warm_up_steps, 1))
    )
