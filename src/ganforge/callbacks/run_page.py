"""Keeps ``report.html`` of a run up to date: from its first picture on, and however it ends."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from ganforge.callbacks.judge import judge_of
from ganforge.callbacks.periodic import Periodic
from ganforge.callbacks.score_history import ScoreHistory
from ganforge.metrics.protocol import Score
from ganforge.report.run_page import Moment, write_run_page
from ganforge.utils.errors import UserError
from ganforge.utils.images import grid, save_image
from ganforge.utils.runs import Run
from ganforge.utils.terminal import telling

FULL = (ENOSPC, EDQUOT)
SHARE = 50  # of the time: writing may take one part in so many
SMALLEST_SIDE = 512  # pixels of the picture of the data


@runtime_checkable
class ShownData(Protocol):
    """A data module of single images or points that can tell what it holds."""

    name: str
    shape: tuple[int, ...]

    def split(self, name: str) -> Any:
        """One split."""

    def take(self, split: str, n: int, seed: int = 0) -> Tensor:
        """Some rows."""


class RunPage(Callback):
    """Writes the page when something new was drawn or measured, at most every ``every_seconds``.

    Place it after what draws pictures and before what scores: the first page need not wait for
    scores. ``pictures`` real images are drawn once, into ``data.png``.
    """

    def __init__(
        self, folder: str | Path, every_seconds: float = 20.0, pictures: int = 64, seed: int = 2020
    ) -> None:
        self.run = Run(Path(folder))
        self.every_seconds, self.pictures, self.seed = every_seconds, pictures, seed
        self._begun, self._written, self._cost = time.monotonic(), 0.0, 0.0
        self._first_step, self._pending = 0, False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the data, and the first page."""
        self._begun, self._first_step = time.monotonic(), trainer.global_step
        if trainer.is_global_zero:
            with _telling("the picture of the data"):
                self._draw_data(trainer.datamodule)
            self._write(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Write it anew where there is something new, and it is time."""
        step = trainer.global_step
        self._pending |= any(isinstance(c, Periodic) and c.is_due(step) for c in trainer.callbacks)
        wait = max(self.every_seconds, SHARE * self._cost)
        if self._pending and trainer.is_global_zero and time.monotonic() - self._written > wait:
            self._write(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what there is in the end: all is measured and told."""
        if trainer.is_global_zero:
            self._write(trainer, pl_module, ended=True)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Write what there was before it stopped."""
        if trainer.is_global_zero and trainer.global_step:
            why = " ".join(str(exception).split()) or type(exception).__name__
            self._write(trainer, pl_module, ended=True, stopped=why[:120])

    def _write(
        self, trainer: Trainer, module: LightningModule, ended: bool = False, stopped: str = ""
    ) -> None:
        begin = time.monotonic()
        moment = Moment(
            step=trainer.global_step,
            steps=trainer.max_steps,
            kimg=module.images_seen / 1000,
            seconds=begin - self._begun,
            since=self._first_step,
            device=_device(trainer),
            data=_facts(trainer.datamodule),
            ended=ended,
            stopped=stopped,
        )
        with _telling("the page of the run"):
            write_run_page(self.run, moment, *_scores(trainer))
        self._written, self._pending = time.monotonic(), False
        self._cost = self._written - begin

    def _draw_data(self, data: Any) -> None:
        """Some real images, the same ones each time."""
        if not isinstance(data, ShownData) or len(data.shape) != 3:
            return
        count = min(self.pictures, len(data.split("train")))
        images = data.take("train", count, self.seed)
        columns = min(8, count)
        scale = max(1, SMALLEST_SIDE // (images.shape[-1] * columns))
        save_image(grid(images, columns, scale=scale), self.run.real_pictures)


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Tell what cannot be shown; of a full disk training tells by itself, once."""
    with telling(what):
        try:
            yield
        except (OSError, UserError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if getattr(cause, "errno", None) not in FULL:
                raise


def _scores(trainer: Trainer) -> tuple[list[Score], str | None]:
    """All scores so far, and the name of those that the run is ranked by."""
    judge = judge_of(trainer)
    newest = judge.newest if judge else None
    if newest is None:
        return [], None
    return judge.history if isinstance(judge, ScoreHistory) else [newest], newest.name


def _device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else device.type.upper()
    return f"{name} × {trainer.world_size}" if trainer.world_size > 1 else name


def _facts(data: Any) -> Mapping[str, str]:
    """What the data are, in words."""
    if not isinstance(data, ShownData):
        return {"name": str(getattr(data, "name", type(data).__name__))}
    train, test = data.split("train"), data.split("test")
    facts = {"name": data.name, "images": f"{len(train):,} to train on, {len(test):,} held out"}
    if len(data.shape) == 3:
        channels, height, width = data.shape
        facts["size"] = f"{width}×{height}, {'grey' if channels == 1 else 'colour'}"
    if train.labelled and (classes := getattr(data, "class_names", None)):
        facts["classes"] = ", ".join(classes[:12]) + (" …" if len(classes) > 12 else "")
    return {**facts, "content": f"{train.content_hash[:8]} (SHA-256 of the training images)"}
