"""Back to the last good state when a number stops being finite, at most a few times."""

import math
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from ganforge.callbacks.checkpoints import Checkpoints
from ganforge.callbacks.doctor.snapshot import Snapshot, weights_are_finite
from ganforge.callbacks.doctor.vitals import Finding
from ganforge.utils.errors import DivergedError

NAME = "not_finite"


class Rescue:
    """Keeps a snapshot every N steps and returns to it with rates times ``rate_factor``.

    After ``most`` returns the next one ends the training with a DivergedError; what was good is
    saved first.
    """

    def __init__(self, every_n_steps: int = 250, most: int = 3, rate_factor: float = 0.5) -> None:
        if every_n_steps < 1 or most < 0 or not 0 < rate_factor <= 1:
            raise ValueError(
                f"a rescue every {every_n_steps} steps, {most} times, with rates × {rate_factor}: "
                "it takes at least 1 step, 0 or more times, and a factor above 0 and at most 1"
            )
        self.every_n_steps, self.most, self.rate_factor = every_n_steps, most, rate_factor
        self.returns = 0
        self._good: Snapshot | None = None

    def keep(self, trainer: Trainer, module: LightningModule) -> None:
        """Remember the present state."""
        self._good = Snapshot(trainer, module)

    def is_finite(
        self, trainer: Trainer, module: LightningModule, means: dict[str, float], weights: bool
    ) -> bool:
        """Whether readings (and, where asked, weights) are finite on every rank."""
        finite = all(map(math.isfinite, means.values()))
        finite = finite and (not weights or weights_are_finite(module))
        return trainer.strategy.reduce_boolean_decision(finite, all=True)

    def go_back(
        self, trainer: Trainer, module: LightningModule, means: dict[str, float]
    ) -> Finding:
        """Restore the snapshot and say so; the last of its kind says that training stops."""
        broken = sorted(name for name, value in means.items() if not math.isfinite(value))
        told = ", ".join(broken[:3]) or "the weights"
        what = f"a number stopped being finite at step {trainer.global_step}"
        if self._good is None:
            raise DivergedError(
                f"{what} ({told}) and the state that training began with was not finite either: "
                "start again with smaller learning rates"
            )
        self._good.restore(trainer, module, self.rate_factor)
        self.returns += 1
        evidence = f"{told}; went back to the state of step {self._good.step}"
        if self.returns <= self.most:
            evidence += (
                f" with learning rates × {self.rate_factor:g}, for the {self.returns}. time "
                f"of at most {self.most}"
            )
        remedies = ("model.clip_gradient=1.0", "trainer.precision=32-true")
        return Finding(NAME, what, evidence, remedies, {"returns": float(self.returns)})

    def stop_if_hopeless(self, trainer: Trainer) -> None:
        """Save the restored state and raise a DivergedError after one return too many."""
        if self.returns <= self.most:
            return
        for callback in trainer.callbacks:
            if isinstance(callback, Checkpoints):
                callback.save_now(trainer)
        raise DivergedError(
            f"training stopped at step {trainer.global_step}: a number stopped being finite once "
            f"more after {self.most} returns with smaller learning rates; last.ckpt holds the last "
            f"good state, that of step {self._good.step}: train again with "
            "model.clip_gradient=1.0, with smaller model.optimizer_generator.lr and "
            "model.optimizer_discriminator.lr, or with trainer.precision=32-true"
        )

    def state_dict(self) -> dict[str, Any]:
        """How often it went back; the snapshot is as old as the checkpoint, or older."""
        return {"returns": self.returns}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Count on."""
        self.returns = state["returns"]
