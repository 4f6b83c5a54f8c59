"""Objects from configuration; what a constructor refuses becomes a sentence."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from ganforge.config.signatures import check_arguments
from ganforge.utils.errors import GanforgeError, UserError


def build(config: DictConfig, **overrides: Any) -> Any:
    """Instantiate a configured object; what its constructor refuses becomes a UserError.

    Lists and dicts arrive as Python's own, not as OmegaConf's.
    """
    if not isinstance(config, DictConfig):
        raise UserError(f"{config!r} is no group of settings that an object could be made of")
    check_arguments(_given(config, overrides), str(config._get_full_key(None)))
    return _instantiate(config, overrides)


def build_all(config: DictConfig, group: str, kind: type) -> list[Any]:
    """The objects of a group of named configurations; ``group=[]``, or null for one, leaves out."""
    items = OmegaConf.select(config, group) or {}
    if not isinstance(items, DictConfig | dict):
        raise UserError(f"{group}={items} is no group of settings: leave it out, or choose another")
    for key, item in items.items():
        if not isinstance(item, DictConfig | None):
            raise UserError(f"{group}.{key}={item} must be settings with a _target_, or null")
    return [build_as(item, kind) for item in items.values() if item is not None]


def build_as(config: DictConfig, kind: type) -> Any:
    """Instantiate a configured object of a class; a UserError for an object of another one."""
    made = build(config)
    if not isinstance(made, kind):
        key, found = config._get_full_key(None), type(made).__name__
        raise UserError(f"{key}._target_ makes a {found}, where a {kind.__name__} is needed")
    return made


def build_bundled(config: DictConfig) -> Any:
    """Instantiate the model of a bundle, in which null stands for what only training needs."""
    given = {key: value for key, value in _given(config, ()).items() if value is not None}
    check_arguments(given, str(config._get_full_key(None)))
    return _instantiate(config, {})


def _given(config: DictConfig, overrides: Iterable[str]) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return {key: value for key, value in plain.items() if key not in overrides}


def _instantiate(config: DictConfig, overrides: Mapping[str, Any]) -> Any:
    try:
        return instantiate(config, **overrides, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, GanforgeError):
            raise cause from None
        if cause is not None:
            reason = (str(cause) or type(cause).__name__).splitlines()[0]
            raise UserError(f"{_where(error, config)}: {reason}") from error
        raise UserError(str(error).replace("\n", " ")) from error


def _where(error: InstantiationException, config: DictConfig) -> str:
    """The key of the configuration that the error is about."""
    marker = "full_key: "
    _, _, key = str(error).partition(marker)
    return key.strip() or str(config._get_full_key(None) or "configuration")


def with_features(config: DictConfig, base: DictConfig) -> DictConfig | None:
    """The features that a command chose, else those of ``base``, resolved by what ``base`` says.

    A chosen group takes the place of the base's: their settings are not of one class.
    """
    chosen: Any = OmegaConf.select(config, "features") or OmegaConf.select(base, "features")
    if not chosen:
        return None
    whole = copy.deepcopy(base)
    with open_dict(whole):
        whole.features = chosen
    return whole.features
