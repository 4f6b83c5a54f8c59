"""One callback asks another, or the module, what it knows."""

from typing import TypeVar

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

Kind = TypeVar("Kind", bound=Callback)


def callback_of(trainer: Trainer, kind: type[Kind]) -> Kind | None:
    """The first callback of a kind in a run; None where there is none."""
    return next((c for c in trainer.callbacks if isinstance(c, kind)), None)


def labels_for(module: LightningModule, count: int, seed: int) -> tuple[Tensor, ...]:
    """What ``generate`` takes after latents: labels of a conditional model, else nothing."""
    if getattr(module, "num_classes", None) is None:
        return ()
    return (module.draw_labels(count, seed),)
