"""YAML files that are read as configuration, whatever is in them."""

from pathlib import Path

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import AliasEvent, YAMLError

from ganforge.utils.errors import DamagedFileError
from ganforge.utils.files import read_small


def read_yaml(path: Path) -> DictConfig | ListConfig:
    """Settings that a run wrote down; a DamagedFileError for whatever else lies there.

    No file of ours refers to a part of itself: a few lines that do so can mean terabytes.
    """
    try:
        text = read_small(path)
        if "*" in text and any(isinstance(event, AliasEvent) for event in yaml.parse(text)):
            raise ValueError("it repeats parts of itself by references")
        found = OmegaConf.create(text)
    except (OSError, ValueError, TypeError, RecursionError, YAMLError, OmegaConfBaseException) as e:
        reason = " ".join(str(e).split())[:200] or type(e).__name__
        raise DamagedFileError(f"{path} cannot be read: {reason}") from e
    return found
