"""YAML files that are read as configuration, whatever is in them."""

from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import AliasEvent, YAMLError

from ganforge.utils.errors import DamagedFileError
from ganforge.utils.files import read_small

LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def read_plain(path: Path) -> dict[str, Any]:
    """The same as plain values, unresolved: fast, for those who read hundreds of files."""
    try:
        found = LOADER(_text(path)).get_single_data()  # a safe loader: plain values alone
        if not isinstance(found, dict):
            raise ValueError("it is no group of settings")
    except (OSError, ValueError, TypeError, RecursionError, YAMLError) as error:
        raise _damaged(path, error) from error
    return found


def read_yaml(path: Path) -> DictConfig | ListConfig:
    """Settings that a run wrote down; a DamagedFileError for whatever else lies there."""
    try:
        found = OmegaConf.create(_text(path))
    except (OSError, ValueError, TypeError, RecursionError, YAMLError, OmegaConfBaseException) as e:
        raise _damaged(path, e) from e
    return found


def _text(path: Path) -> str:
    """No file of ours refers to a part of itself: a few lines that do so can mean terabytes."""
    text = read_small(path)
    if "*" in text and any(isinstance(event, AliasEvent) for event in yaml.parse(text)):
        raise ValueError("it repeats parts of itself by references")
    return text


def _damaged(path: Path, error: Exception) -> DamagedFileError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DamagedFileError(f"{path} cannot be read: {reason}")
