"""Loggers of ganforge's own, and pictures for all that show pictures."""

import json
import math
import os
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image


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
        record = {k: v if math.isfinite(v) else None for k, v in metrics.items() if k != "epoch"}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **record}) + "\n")


def log_picture(loggers: Iterable[Logger], key: str, picture: Image.Image, step: int) -> None:
    """Show ``picture`` on every logger that can: TensorBoard's and W&B's ways."""
    for logger in loggers:
        if hasattr(logger, "log_image"):
            logger.log_image(key, [picture], step=step)
        elif isinstance(logger, TensorBoardLogger):
            array = np.atleast_3d(np.asarray(picture))
            logger.experiment.add_image(key, array, step, dataformats="HWC")


def wandb_logger(project: str, name: str, save_dir: str | Path, group: str | None = None) -> Logger:
    """W&B without a prompt: online where a key is found, offline otherwise or by ``WANDB_MODE``."""
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    mode = os.environ.get("WANDB_MODE")
    if mode is None:
        mode = "online" if wandb.api.api_key else "offline"
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    return WandbLogger(
        project=project, name=name, save_dir=str(save_dir), group=group, offline=mode != "online"
    )
