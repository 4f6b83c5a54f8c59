"""What a run is ranked by: one measurement, less is better, with how it was measured."""

from lightning.pytorch import Trainer

from ganforge.callbacks.lookup import callback_of
from ganforge.callbacks.periodic import Periodic
from ganforge.metrics.protocol import Score


class Judge(Periodic):
    """A callback that measures what runs are ranked by; the first one of a run decides."""

    @property
    def objective_name(self) -> str | None:
        """Name of what is measured; None before the first measurement."""
        return self.newest.name if self.newest else None

    @property
    def newest(self) -> Score | None:
        """What was measured last; None on the processes that do not measure."""
        raise NotImplementedError

    @property
    def verdict(self) -> Score | None:
        """What the run is ranked by so far."""
        return self.newest


def judge_of(trainer: Trainer) -> Judge | None:
    """The judge of a run, if it has one."""
    return callback_of(trainer, Judge)
