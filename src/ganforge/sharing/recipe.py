"""The command that trained a run, as others can type it: without places of this machine."""

import shlex
from collections.abc import Iterator

from omegaconf import ListConfig, OmegaConf

from ganforge.config.arguments import PATHS
from ganforge.config.reading import read_yaml
from ganforge.trained.load import LoadedRun

OWN = ("hydra.", "paths.", "resume", "logger", "name=", "trainer.devices", "trainer.accelerator")
"""Beginnings of words that say where and on what it ran, and not what was trained."""


def recipe(loaded: LoadedRun) -> str | None:
    """``ganforge train ...`` with the seed; None where a run does not tell what was typed."""
    path = loaded.run.config.with_name("overrides.yaml")
    words = read_yaml(path) if path.is_file() else None
    if not isinstance(words, ListConfig):
        return None
    typed = list(_shared(OmegaConf.to_container(words)))
    if not any(word.startswith("seed=") for word in typed):
        typed.append(f"seed={loaded.config.seed}")
    return shlex.join(["ganforge", "train", *typed])


def _shared(words: list[object]) -> Iterator[str]:
    """What others can say, too; files of this machine are called FILES."""
    for word in map(str, words):
        key, _, value = word.partition("=")
        if word.lstrip("+~").startswith(OWN):
            continue
        names_files = key.lstrip("+") in PATHS or key.rpartition(".")[2] in PATHS
        yield f"{key}=FILES" if names_files or set(value) & set("/\\") else word
