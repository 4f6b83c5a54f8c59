"""Compose a command's configuration from words, as the command line does."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def config_dir() -> Path:
    """Folder of the configuration: inside an installed package, at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parents[1] / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf/train.yaml beside {package}: install ganforge again")


def composed(words: Sequence[str], command: str = "train") -> "DictConfig":
    """The configuration that Hydra is going to compose for a command."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    overrides, folders = without_flags(words)
    if folders:
        overrides.append(f"hydra.searchpath=[{','.join(f'file://{f}' for f in folders)}]")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose(command, overrides)


def compose_in_place(command: str, overrides: Sequence[str]) -> "DictConfig":
    """Another configuration beside that of the running command, or without one (a notebook)."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    if GlobalHydra.instance().is_initialized():  # with the folders of --config-dir
        return compose(command, list(overrides))
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose(command, list(overrides))


def without_flags(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The overrides among the arguments, and the folders of ``--config-dir``."""
    overrides, folders = [], []
    rest = iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        if flag in ("--config-dir", "-cd"):
            folders.append(os.path.abspath(value if equals else next(rest, "")))
        elif not word.startswith("-"):
            overrides.append(word)
    return overrides, folders
