"""What a run is ranked by: the best image score, or what a theory figure measured last."""

import math

from lightning.pytorch import Trainer

from ganforge.callbacks.image_quality import ImageQuality
from ganforge.callbacks.pruning import OptunaPruning
from ganforge.callbacks.theory import TheoryFigure
from ganforge.utils.files import write_json
from ganforge.utils.runs import Run


def objective(trainer: Trainer) -> tuple[str | None, float | None, int]:
    """Name, value and step of what a run is ranked by; less is better, None where nothing is."""
    for callback in trainer.callbacks:
        if isinstance(callback, ImageQuality):
            best = callback.best
            name = callback.monitored[0].name if callback.monitored else None
            return (name, best.value, best.step) if best else (name, None, trainer.global_step)
        if isinstance(callback, TheoryFigure):
            return (*callback.objective, trainer.global_step)
    return None, None, trainer.global_step


def record_outcome(run: Run, trainer: Trainer) -> float | None:
    """Write ``outcome.json``, which a sweep reads, and return the value."""
    name, value, step = objective(trainer)
    if value is not None and not math.isfinite(value):
        value = None
    if trainer.is_global_zero:
        pruned = any(isinstance(c, OptunaPruning) and c.pruned for c in trainer.callbacks)
        outcome = {"objective": name, "value": value, "step": step, "pruned": pruned}
        write_json(outcome, run.outcome)
    return value
