"""Where a run's data lie, wherever it is gone on with or scored from: absolute paths."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganforge.config.arguments import quoted

KEYS = ("path", "folder", "train_folder", "test_folder")
GROUPS = ("data", "features")
HUB = "ganforge.data.hub.HubDataset"  # its path may be a name elsewhere


def with_absolute_places(config: DictConfig) -> DictConfig:
    """A copy whose relative paths of data are absolute, as seen from the current folder."""
    copy = config.copy()
    for node, key, _, place in _relative(copy):
        node[key] = place
    return copy


def absolute_overrides(overrides: Sequence[str], config: DictConfig) -> list[str]:
    """The overrides with relative paths of data made absolute, also those that files named."""
    places = {key: place for _, _, key, place in _relative(config)}
    kept = [word for word in overrides if word.partition("=")[0].lstrip("+") not in places]
    return [*kept, *(f"{key}={quoted(place)}" for key, place in places.items())]


def places_of_data(config: DictConfig) -> Iterator[tuple[str, Path]]:
    """Keys of data, and the places on this machine that they name."""
    for _, _, key, place in _below(config.get("data"), "data", every=True):
        yield key, Path(place)


def _relative(config: DictConfig) -> Iterator[tuple[DictConfig, str, str, str]]:
    """Nodes with a relative path of data: the node, its key, the key in full, the absolute path."""
    for group in GROUPS:
        yield from _below(config.get(group), group)


def _below(
    node: Any, prefix: str, every: bool = False
) -> Iterator[tuple[DictConfig, str, str, str]]:
    if not isinstance(node, DictConfig):
        return
    for key in list(node):
        if OmegaConf.is_interpolation(node, key) or OmegaConf.is_missing(node, key):
            continue
        value, name = node[key], f"{prefix}.{key}"
        if isinstance(value, DictConfig):
            yield from _below(value, name, every)
        elif key in KEYS and isinstance(value, str) and value and "://" not in value:
            place = os.path.abspath(Path(value).expanduser())
            on_hub = node.get("_target_") == HUB and not os.path.exists(place)
            if not on_hub and (every or place != value):
                yield node, str(key), name, place
