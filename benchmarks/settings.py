"""What one benchmark measures, and the configuration that `ganforge train` would compose for it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from ganforge.config.compose import config_dir
from ganforge.trained import load

BLOCK = 10  # steps between two turns in one process; the loggers write once in each


@dataclass(frozen=True)
class Settings:
    """One case, as the parent hands it to its child processes.

    Args:
        folder: scratch of this benchmark; holds the images that the reference reads.
        steps: timed updates of the generator, after ``warmup`` untimed ones.
        rounds: turns that one process takes by itself, in the cases that need but one.
        quick: small networks where the case has its own.
        overrides: further ``key=value`` for the training configuration.

    """

    folder: str
    size: int = 64
    batch_size: int = 64
    warmup: int = 5
    steps: int = 20
    log_every: int = 50
    overrides: tuple[str, ...] = ()
    quick: bool = False
    rounds: int = 1
    model: str = "dcgan"

    @property
    def images(self) -> Path:
        """Root of the image files, one class folder below it."""
        return Path(self.folder) / "images"

    def changed(self, **changes: Any) -> "Settings":
        """The same with some of it changed."""
        return replace(self, **changes)

    @property
    def total_steps(self) -> int:
        """Updates of the generator, warm-up included."""
        return self.warmup + self.steps


def compose_training(settings: Settings) -> DictConfig:
    """Compose what ``ganforge train data=avatars`` runs, without its evaluation."""
    overrides = [
        f"model={settings.model}",
        "data=avatars",
        f"data.size={settings.size}",
        f"data.batch_size={settings.batch_size}",
        f"trainer.max_steps={settings.total_steps}",
        f"trainer.log_every_n_steps={settings.log_every}",
        f"paths.output_dir={settings.folder}/run",
        "name=bench",
        "~callbacks.image_quality",
        *settings.overrides,
    ]
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        return compose("train", overrides=overrides)


def pick_device(accelerator: str) -> torch.device:
    """The device that ``trainer.accelerator`` means: the loops of a benchmark share it."""
    return load.pick_device("cuda" if accelerator == "gpu" else accelerator)
