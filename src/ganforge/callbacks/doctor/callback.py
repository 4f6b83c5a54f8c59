"""Watches a training, names what goes wrong and what to try, and rescues it from NaN."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ganforge.callbacks.doctor.case import describe
from ganforge.callbacks.doctor.gather import Gatherer
from ganforge.callbacks.doctor.journal import Journal
from ganforge.callbacks.doctor.probe import Probe
from ganforge.callbacks.doctor.rescue import Rescue
from ganforge.callbacks.doctor.vitals import Case, Rule, Vitals
from ganforge.callbacks.doctor.windows import vitals_by_side
from ganforge.callbacks.loggers import log_alert, log_text
from ganforge.callbacks.periodic import Periodic
from ganforge.callbacks.progress import ProgressBar
from ganforge.callbacks.score_history import history_of

log = logging.getLogger(__name__)


class Doctor(Callback):
    """Gathers vitals, lets ``rules`` judge them, and tells what they find.

    Place it after EMA and before all that measures or saves: a broken state is repaired before
    anybody looks at it. Readings are summed on the device and read every ``every_n_steps``;
    gradients are measured every ``gradient_every`` updates, samples every ``probe_every_n_steps``.
    """

    def __init__(
        self,
        folder: str | Path,
        rules: Mapping[str, Rule],
        rescue: Rescue,
        every_n_steps: int = 25,
        gradient_every: int = 5,
        probe_every_n_steps: int = 100,
        samples: int = 64,
        seed: int = 2020,
    ) -> None:
        for name, value in (("every_n_steps", every_n_steps), ("gradient_every", gradient_every)):
            if value < 1:
                raise ValueError(f"callbacks.doctor.{name} must be at least 1, not {value}")
        if probe_every_n_steps % every_n_steps or samples < 2:
            raise ValueError(
                "callbacks.doctor.probe_every_n_steps must be a multiple of every_n_steps, and "
                f"samples at least 2: not {probe_every_n_steps}, {every_n_steps} and {samples}"
            )
        self.every_n_steps, self.probe_every_n_steps = every_n_steps, probe_every_n_steps
        self.rules, self.rescue = dict(rules), rescue
        self.journal = Journal(Path(folder) / "diagnosis.jsonl")
        self.histories: dict[str, list[Vitals]] = {}
        self.case = Case()
        self._gatherer = Gatherer(gradient_every)
        self._gathered: dict[str, Any] | None = None
        self._probe = Probe(samples, seed)
        self._scores_seen = 0
        self._last_step = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Listen to the updates."""
        if self._gathered is not None:
            self._gatherer.load_state_dict(self._gathered, pl_module.device)
            self._gathered = None
        pl_module.observers.append(self._gatherer.observe)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the first look at the data, the samples and the weights."""
        self._last_step = trainer.global_step
        if trainer.is_global_zero:
            self._probe.prepare(trainer, pl_module)
            if trainer.global_step == 0:
                self._probe.look(pl_module)
                self._probe.updates(trainer.strategy.optimizers)
            self.journal.write()
        self.case = describe(trainer, pl_module, self._probe)
        if self.rescue.is_finite(trainer, pl_module, {}, weights=True):
            self.rescue.keep(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Look when a window is over, and before anybody uses what may be broken."""
        step = trainer.global_step
        if step == self._last_step:
            return
        self._last_step = step
        window_is_over = step % self.every_n_steps == 0
        keeping = step % self.rescue.every_n_steps == 0
        if window_is_over or keeping or _is_awaited(trainer, step):
            self._examine(trainer, pl_module, judge=window_is_over, keep=keeping)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Examine what the last window holds before the end is saved."""
        self._examine(trainer, pl_module, judge=True, keep=False)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge the last score, which came after the last look."""
        if trainer.is_global_zero:
            self._judge(trainer, pl_module, {})
        self._stop_listening(pl_module)

    def on_exception(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,
        exception: BaseException,  # noqa: ARG002
    ) -> None:
        """Leave the module alone after an interruption."""
        self._stop_listening(pl_module)

    def _stop_listening(self, module: LightningModule) -> None:
        if self._gatherer.observe in module.observers:
            module.observers.remove(self._gatherer.observe)

    def _examine(
        self, trainer: Trainer, module: LightningModule, *, judge: bool, keep: bool
    ) -> None:
        means = self._gatherer.peek()
        weights = keep or not judge or _is_awaited(trainer, trainer.global_step)
        if not self.rescue.is_finite(trainer, module, means, weights):
            finding = self.rescue.go_back(trainer, module, means)
            self._gatherer.clear()
            self._tell(trainer, self.journal.note(finding, trainer.global_step))
            self.rescue.stop_if_hopeless(trainer)
            return
        if keep:
            self.rescue.keep(trainer, module)
        if judge:
            self._gatherer.clear()
            if trainer.is_global_zero:
                self._judge(trainer, module, means)

    def _judge(self, trainer: Trainer, module: LightningModule, means: dict[str, float]) -> None:
        step = trainer.global_step
        looked: dict[str, dict[str, float]] = {}
        shared: dict[str, float] = {}
        if means and step % self.probe_every_n_steps == 0:
            looked = self._probe.look(module)
            self._log_readings(trainer, looked, step)
            shared = self._probe.updates(trainer.strategy.optimizers)
        scores = self._new_scores(trainer)
        if not (means or scores):
            return
        for side, vitals in vitals_by_side(step, means, looked, shared).items():
            history = self.histories.setdefault(side, [])
            history += [*scores, vitals] if means else scores
            findings = {name: rule(history, self.case) for name, rule in self.rules.items()}
            for event in self.journal.enter(findings, step, side):
                self._tell(trainer, event)

    def _new_scores(self, trainer: Trainer) -> list[Vitals]:
        """Scores since the last look; they are measured after the look at their own step."""
        quality = history_of(trainer)
        scores = quality.monitored if quality else []
        new, self._scores_seen = scores[self._scores_seen :], len(scores)
        return [Vitals(score.step, score=score.value) for score in new if score.step is not None]

    @staticmethod
    def _log_readings(trainer: Trainer, looked: dict[str, dict[str, float]], step: int) -> None:
        named = {
            "_".join(filter(None, [f"doctor/{name}", side])): value
            for side, readings in looked.items()
            for name, value in readings.items()
        }
        for logger in trainer.loggers:
            logger.log_metrics(named, step=step)

    def _tell(self, trainer: Trainer, event: dict[str, Any]) -> None:
        """To the log, the progress bar, the loggers and ``diagnosis.jsonl``."""
        if not trainer.is_global_zero:
            return
        self.journal.write()
        line = f"doctor, step {event['step']}: {event['message']}"
        log.warning("%s", line)
        bars = [c for c in trainer.callbacks if isinstance(c, ProgressBar)]
        for bar in bars:
            bar.note = self.journal.headline
        mark = {f"doctor/{event['name']}": float(event["event"] == "found")}
        for logger in trainer.loggers:
            logger.log_metrics(mark, step=event["step"])
        log_text(trainer.loggers, "doctor", event["message"], event["step"])
        if event["event"] == "found":
            log_alert(trainer.loggers, event["what"], f"step {event['step']}: {event['message']}")

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed training goes on from, as plain values and tensors."""
        return {
            "histories": {s: [v.to_dict() for v in h] for s, h in self.histories.items()},
            "journal": self.journal.state_dict(),
            "gatherer": self._gatherer.state_dict(),
            "probe": self._probe.state_dict(),
            "rescue": self.rescue.state_dict(),
            "scores_seen": self._scores_seen,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state back; the window's sums wait for the device."""
        histories = state_dict["histories"].items()
        self.histories = {s: [Vitals.from_dict(r) for r in h] for s, h in histories}
        self.journal.load_state_dict(state_dict["journal"])
        self._gathered = state_dict["gatherer"]
        self._probe.load_state_dict(state_dict["probe"])
        self.rescue.load_state_dict(state_dict["rescue"])
        self._scores_seen = state_dict["scores_seen"]


def _is_awaited(trainer: Trainer, step: int) -> bool:
    """Whether a callback will measure or save the state of this step."""
    return any(isinstance(c, Periodic) and c.is_due(step) for c in trainer.callbacks)
