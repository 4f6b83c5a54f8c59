"""What a run is ranked by: the best image score, or what a theory figure measured last."""

import math

from lightning.pytorch import Trainer

from ganforge.callbacks.judge import judge_of
from ganforge.callbacks.trial import OptunaTrial
from ganforge.utils.files import write_json
from ganforge.utils.runs import Run


def record_outcome(run: Run, trainer: Trainer) -> float | None:
    """Write ``outcome.json``, which a sweep reads, and return the value.

    None stands for a value that is missing or not finite. ``protocol`` is what values must share
    to be ranked together: its seeds are those of no draw.
    """
    judge = judge_of(trainer)
    score = judge.verdict if judge else None
    value = score.value if score and math.isfinite(score.value) else None
    if trainer.is_global_zero:
        outcome = {
            "objective": judge.objective_name if judge else None,
            "value": value,
            "step": score.step if score else trainer.global_step,
            "pruned": any(isinstance(c, OptunaTrial) and c.pruned for c in trainer.callbacks),
            "protocol": score.protocol.without_draws().to_dict() if score else None,
        }
        write_json(outcome, run.outcome)
    return value
