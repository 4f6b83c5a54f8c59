"""Loggers of ganforge's own, and pictures for all that show pictures."""

import threading
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from ganforge.utils.records import GrowingTable, append_record, cut_records, sync_records

SCORES = ("scores/", "theory/")
"""How the names of scores begin."""


class JsonlLogger(Logger):
    """Appends one JSON object a logging step to ``metrics.jsonl``, so that a kill loses nothing."""

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)

    @property
    def name(self) -> str:
        """What Lightning calls this logger."""
        return "jsonl"

    @property
    def version(self) -> int:
        """There is one file a run."""
        return 0

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any) -> None:
        """Do nothing: the configuration lies beside the file."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append one record; values that JSON has no number for become null."""
        record = {key: value for key, value in metrics.items() if key != "epoch"}
        append_record({"step": step, **record}, self.path)

    @rank_zero_only
    def flush(self) -> None:
        """Put the records on the disk: a checkpoint of their step is about to be published."""
        sync_records(self.path)

    @rank_zero_only
    def go_on_from(self, step: int) -> None:
        """Drop the records of steps that are taken again."""
        cut_records(self.path, step)


class CsvLogger(Logger):
    """The records of ``metrics.jsonl`` as a table for spreadsheets, written with each checkpoint.

    It grows by what that file has more than last time, so that the two never disagree.
    """

    def __init__(self, path: str | Path, records: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._table = GrowingTable(Path(records), self.path)

    name, version = "csv", 0

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any) -> None:
        """Do nothing: the configuration lies beside the file."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Do nothing: ``metrics.jsonl`` has the record."""

    @rank_zero_only
    def flush(self) -> None:
        """Bring the table up to date."""
        self._table.update()

    @rank_zero_only
    def go_on_from(self, step: int) -> None:  # noqa: ARG002
        """Write all anew: records of steps that are taken again are dropped."""
        self._table.forget()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Bring the table up to date as training ended."""
        if status == "success":
            self.flush()


class ResumableTensorBoardLogger(TensorBoardLogger):
    """TensorBoard's, whose curves go on where a checkpoint was made.

    A resumed run writes a further event file into the same folder. Its first record tells
    TensorBoard to hide what the files before it say of later steps. The table of hyper-parameters
    is begun with the first scores: TensorBoard shows those columns alone that it is begun with.
    """

    _settings: dict[str, Any] | Namespace | None = None

    @rank_zero_only
    def log_hyperparams(
        self,
        params: dict[str, Any] | Namespace,
        metrics: dict[str, Any] | None = None,
        step: int | None = None,
    ) -> None:
        """Keep them until there are scores."""
        if metrics is None:
            self._settings = params
        else:
            super().log_hyperparams(params, metrics, step)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log, and begin the table of hyper-parameters with the first scores."""
        scores = {key: value for key, value in metrics.items() if key.startswith(SCORES)}
        if scores and self._settings is not None:
            settings, self._settings = self._settings, None
            self.log_hyperparams(settings, scores, step)
            metrics = {key: value for key, value in metrics.items() if key not in scores}
        super().log_metrics(metrics, step)

    @rank_zero_only
    def go_on_from(self, step: int) -> None:
        """Hide what was logged of steps that are taken again."""
        self._kwargs["purge_step"] = step + 1

    @rank_zero_only
    def flush(self) -> None:
        """Hand the events to the disk."""
        self.experiment.flush()


@contextmanager
def told_once() -> Iterator[None]:
    """Keep back the trace of TensorBoard's writing thread: training itself raises its error too."""
    before = threading.excepthook

    def tell(failure: threading.ExceptHookArgs) -> None:
        ours = type(failure.thread).__module__.startswith("tensorboard.")
        if not (ours and isinstance(failure.exc_value, OSError)):
            before(failure)

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before


def flush(loggers: Iterable[Logger]) -> None:
    """Let all loggers that can write down what they were told."""
    for logger in loggers:
        if hasattr(logger, "flush"):
            logger.flush()


def go_on_from(loggers: Iterable[Logger], step: int) -> None:
    """Let all loggers that can forget what they were told of later steps; first of all calls."""
    for logger in loggers:
        if hasattr(logger, "go_on_from"):
            logger.go_on_from(step)


def shows_pictures(logger: Logger) -> bool:
    """Whether ``log_picture`` gives pictures to a logger."""
    return hasattr(logger, "log_image") or isinstance(logger, TensorBoardLogger)


def log_picture(loggers: Iterable[Logger], key: str, picture: Image.Image, step: int) -> None:
    """Show ``picture`` on every logger that can: TensorBoard's and W&B's ways."""
    for logger in loggers:
        if hasattr(logger, "log_image"):
            logger.log_image(key, [picture], step=step)
        elif isinstance(logger, TensorBoardLogger):
            array = np.atleast_3d(np.asarray(picture))
            logger.experiment.add_image(key, array, step, dataformats="HWC")


def log_text(loggers: Iterable[Logger], key: str, text: str, step: int) -> None:
    """Write a sentence to every logger that keeps text: TensorBoard's and W&B's ways."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_text(key, text, step)
        elif hasattr(logger, "log_text"):
            logger.log_text(key, columns=["step", "text"], data=[[step, text]], step=step)


def log_alert(loggers: Iterable[Logger], title: str, text: str) -> None:
    """Let every logger that can call its user do so: W&B's way."""
    for logger in loggers:
        if hasattr(logger, "alert"):
            logger.alert(title, text)
