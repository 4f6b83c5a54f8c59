"""What several test files need: composing configurations and running commands in-process."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from PIL import Image

from ganforge.cli import main
from ganforge.config.compose import config_dir

CONF = config_dir()
TINY = [
    "debug=fast",
    "callbacks.image_quality.n_images=16",
    "callbacks.image_quality.metrics=[{_target_:ganforge.metrics.scores.FID}]",
]
TINY_AVATARS = [
    "data=avatars",
    "data.size=32",
    "data.batch_size=4",
    "data.source.train_count=32",
    "data.source.test_count=16",
    "data.source.workers=1",
]


def options(group: str) -> list[str]:
    """Names of all yaml files of a config group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(command: str, overrides: list[str], output: Path, data: Path) -> DictConfig:
    """The configuration of a command, as a task gets it."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        overrides = [*overrides, f"paths.output_dir={output}", f"paths.data_dir={data}"]
        config = compose(command, overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    return config


def ganforge(*arguments: str) -> int:
    """Run ``ganforge ...`` in this process and return its exit code."""
    GlobalHydra.instance().clear()
    patch = pytest.MonkeyPatch()
    patch.setattr(sys, "argv", ["ganforge", *arguments])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        patch.undo()
        GlobalHydra.instance().clear()
    return 0


def tiny_run(overrides: list[str], folder: Path) -> Path:
    """A finished run in ``folder``, trained in this process, with its data beside it."""
    from ganforge.training.fit import train

    config = composed("train", overrides, folder, folder.parent / "data")
    train(config)
    config.name, config.paths.output_dir = folder.name, str(folder)
    (folder / ".hydra").mkdir()
    OmegaConf.save(config, folder / ".hydra" / "config.yaml")
    return folder


def draw_pictures(folder: Path, count: int, side: int = 40) -> Path:
    """A folder of ``count`` small pictures of noise."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(256, size=(count, side, side, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    return folder
