"""Learning-rate schedules; a model steps them itself, as Lightning does not under our updates."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def constant_then_linear(
    optimizer: Optimizer, total_steps: int, decay_from: float = 0.5
) -> LambdaLR:
    """Keep the rate for a share ``decay_from`` of ``total_steps``, then fall linearly to zero.

    Zhu et al. 2017 keep it for the first half. Raises ValueError for an impossible share or count.
    """
    if total_steps < 1 or not 0 <= decay_from <= 1:
        raise ValueError(
            f"a schedule of {total_steps} steps that decays from {decay_from}: it takes at least "
            "1 step and a share between 0 and 1"
        )
    constant = decay_from * total_steps

    def factor(step: int) -> float:
        return min(1.0, max(0.0, (total_steps - step) / max(total_steps - constant, 1.0)))

    return LambdaLR(optimizer, factor)
