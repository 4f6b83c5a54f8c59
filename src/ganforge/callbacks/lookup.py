"""One callback asks another, or the module, what it knows."""

from typing import TypeVar

from lightning.pytorch import Callback, Trainer

Kind = TypeVar("Kind", bound=Callback)


def callback_of(trainer: Trainer, kind: type[Kind]) -> Kind | None:
    """The first callback of a kind in a run; None where there is none."""
    return next((c for c in trainer.callbacks if isinstance(c, kind)), None)
