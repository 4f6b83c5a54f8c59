"""Trainings of a table: composed as the command line does, kept in folders, never made twice."""

import contextlib
import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from ganforge.config.compose import config_dir
from ganforge.training.fit import train

Result = dict[str, Any]


def config_of(folder: Path, overrides: list[str]) -> DictConfig:
    """What ``ganforge train OVERRIDES`` composes, with its output in ``folder``."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose(
            "train", [*overrides, f"paths.output_dir={folder}"], return_hydra_config=True
        )
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    return config


def run_once(folder: Path, overrides: list[str], read: Callable[[Path], Result]) -> Result:
    """Train unless ``folder`` holds a result; ``read`` takes it from what a run leaves."""
    path = folder / "result.json"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            train(config_of(folder, overrides))
        path.write_text(json.dumps(read(folder)))
    return json.loads(path.read_text())


def finished(folder: Path, seeds: list[int]) -> list[Result]:
    """The results of those seeds that are finished."""
    paths = [folder / f"seed{seed}" / "result.json" for seed in seeds]
    return [json.loads(path.read_text()) for path in paths if path.is_file()]


def spread(values: list[float], form: str = ".1f") -> str:
    """The mean, and every value behind it."""
    listed = ", ".join(f"{value:{form}}" for value in values)
    return f"{statistics.mean(values):{form}} ({listed})"


def arguments_of(given: list[str], rows: list[str]) -> tuple[dict[str, str], list[str], list[int]]:
    """``key=value`` arguments; the chosen ``rows`` and ``seeds`` among them."""
    named = dict(item.split("=", 1) for item in given if "=" in item)
    chosen = named["rows"].split(",") if "rows" in named else rows
    return named, chosen, [int(seed) for seed in named.get("seeds", "0,1,2").split(",")]
