"""Scores of a model while it trains: logged, kept with their protocols, the best one known."""

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from ganforge.callbacks.judge import Judge
from ganforge.callbacks.lookup import callback_of
from ganforge.metrics.protocol import Score
from ganforge.metrics.scorer import NoScoreError
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.files import write_json
from ganforge.utils.terminal import told_if_slow


class ScoreHistory(Judge):
    """Scores the averaged networks every N steps and after the last one.

    Scores go to the loggers, to the file ``path`` with their protocols and, as ``monitored``, to
    the checkpoint callback. All processes take the first one's: they must agree on which checkpoint
    is the best. A score that cannot be had, as of too few images, is left out and told of once.
    """

    judged: str | None = None
    """The metric that is monitored; None: the first that was measured."""

    def __init__(self, path: str | Path, every_n_steps: int | None, at_start: bool = False) -> None:
        super().__init__(every_n_steps, at_start)
        self.path = Path(path)
        self.history: list[Score] = []
        self.left_out: list[str] = []

    def measure(self, trainer: Trainer, pl_module: LightningModule, step: int) -> list[Score]:
        """Score the model: the first score, where lower is better, is the monitored one."""
        raise NotImplementedError

    @property
    def is_repeated(self) -> bool:
        """Whether a best state can be told from the last one."""
        return self.at_start or self.every_n_steps is not None

    @property
    def monitored(self) -> list[Score]:
        """All scores of the first name, in order: lower is better."""
        names = (s.name for s in self.history if self.judged in (None, s.metric))
        name = next(names, None)
        return [score for score in self.history if score.name == name]

    @property
    def best(self) -> Score | None:
        """The best monitored score so far; a value that is not finite is none."""
        finite = (score for score in self.monitored if math.isfinite(score.value))
        return min(finite, key=lambda score: score.value, default=None)

    @property
    def newest(self) -> Score | None:
        """The last monitored score."""
        return next(reversed(self.monitored), None)

    @property
    def verdict(self) -> Score | None:
        """The best monitored score; the newest where none is a finite number."""
        return self.best or self.newest

    def at(self, step: int) -> list[Score]:
        """The scores measured at one step."""
        return [score for score in self.history if score.step == step]

    def act(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Measure, log and keep."""
        try:
            measured = self.measure(trainer, pl_module, step)
        except (UserError, DamagedFileError) as error:
            if step == 0 and not isinstance(error, NoScoreError):
                raise  # nothing is lost yet, and no later step will have a score
            measured = []
            self.leave_out(trainer, [str(error)])
        scores = trainer.strategy.broadcast(measured)
        self.history += scores
        if trainer.is_global_zero:
            values = {f"scores/{score.name}": score.value for score in scores}
            for logger in trainer.loggers:
                logger.log_metrics({**values, "kimg": pl_module.images_seen / 1000}, step=step)
            write_json([score.to_dict() for score in self.history], self.path)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score what training ended with."""
        with told_if_slow("scoring what training ended with"):
            super().on_train_end(trainer, pl_module)

    def leave_out(self, trainer: Trainer, reasons: Iterable[str]) -> None:
        """Tell once, on the first process, what is not measured and why."""
        for reason in reasons:
            if reason not in self.left_out:
                self.left_out.append(reason)
                if trainer.is_global_zero:
                    print(f"ganforge: a score is left out: {reason}", file=sys.stderr)

    def state_dict(self) -> dict[str, Any]:
        """The scores so far, as JSON: a checkpoint holds plain values only."""
        return {"history": json.dumps([score.to_dict() for score in self.history])}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the scores so far back."""
        self.history = [Score.from_dict(record) for record in json.loads(state_dict["history"])]


def history_of(trainer: Trainer) -> ScoreHistory | None:
    """The scores that a run is judged by, if it has some."""
    return callback_of(trainer, ScoreHistory)
