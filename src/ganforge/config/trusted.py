"""What the configuration of a bundle may say: plain facts, and classes that only compute.

A bundle comes from anyone. Its configuration is checked as a whole before a single object is made:
the classes are those of a short list of places, found by name there and not by what a module
happens to import; there are no interpolations, hence no resolvers; and no place in the file system
can be named.
"""

import inspect
import math
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any

from lightning.pytorch import LightningDataModule
from torch import nn
from torch.nn.utils import parametrizations

from ganforge.models.base import AdversarialModule
from ganforge.utils.errors import UserError
from ganforge.utils.regions import Region

TARGET, PARTIAL = "_target_", "_partial_"
OURS = re.compile(r"ganforge\.(models|networks|data|metrics)\.[a-z][a-z0-9_]*\.[A-Z][A-Za-z0-9]*")
TORCH = re.compile(r"torch\.nn\.[A-Z][A-Za-z0-9]*")
# The only functions: wrappers of a layer's weights that configurations of ours name.
WRAPPERS = {
    f"torch.nn.utils.parametrizations.{wrap.__name__}": wrap
    for wrap in (parametrizations.spectral_norm, parametrizations.weight_norm)
}
# Plain values that models and data are made with.
VALUES = {"ganforge.utils.regions.Region": Region}
# Where files lie, what reads them, and whom to ask for them with what keys, is this machine's
# affair: keys of these names must be empty.
PLACES = (
    "path", "folder", "data_dir", "download_dir", "cache_dir", "save_dir", "root",
    "finder", "judge", "landmarks", "storage_options",
)  # fmt: skip
DEEPEST, LONGEST = 32, 1000


def refuse_untrusted(config: Mapping[str, Any], origin: str) -> None:
    """Raise a UserError that names the first entry which a bundle may not have; makes nothing."""
    for section, is_allowed in SECTIONS.items():
        node = config.get(section)
        if section in config and node is not None:
            if not isinstance(node, Mapping):
                raise _refused(section, "is no group of settings", origin)
            _check_node(node, section, is_allowed, origin, 1)


def find_class(target: str) -> Any:
    """The class (or weight wrapper) of a name that a bundle may use, None for every other name."""
    if known := WRAPPERS.get(target) or VALUES.get(target):
        return known
    if not (OURS.fullmatch(target) or TORCH.fullmatch(target)):
        return None
    module, _, name = target.rpartition(".")
    try:
        found = vars(import_module(module)).get(name)
    except ImportError:
        return None
    home = getattr(found, "__module__", "")
    # A class of the module itself: what it imports from elsewhere is not on offer.
    at_home = home == module or (module == "torch.nn" and home.startswith("torch.nn.modules."))
    return found if inspect.isclass(found) and at_home else None


def _is_model(found: Any) -> bool:
    if found in (*WRAPPERS.values(), *VALUES.values()):
        return True
    lazy = nn.modules.lazy.LazyModuleMixin  # has no shapes to be checked before it is made
    return inspect.isclass(found) and issubclass(found, nn.Module) and not issubclass(found, lazy)


def _is_data(found: Any) -> bool:
    source = all(hasattr(found, method) for method in ("check", "key", "chunks", "names"))
    return found in VALUES.values() or (
        inspect.isclass(found) and (source or issubclass(found, LightningDataModule))
    )


def _is_extractor(found: Any) -> bool:
    return inspect.isclass(found) and found.__name__.endswith("Features")


SECTIONS: dict[str, Callable[[Any], bool]] = {
    "model": _is_model,
    "data": _is_data,
    "features": _is_extractor,
}


def is_model_class(target: object) -> bool:
    """Whether a name is that of a model of ganforge, as the top of a bundle must be."""
    found = find_class(target) if isinstance(target, str) else None
    return inspect.isclass(found) and issubclass(found, AdversarialModule)


def _check_node(
    node: Any, where: str, is_allowed: Callable[[Any], bool], origin: str, depth: int
) -> None:
    if depth > DEEPEST:
        raise _refused(where, f"lies more than {DEEPEST} levels deep", origin)
    if isinstance(node, Mapping):
        for key, value in node.items():
            inner = f"{where}.{key}"
            if key == TARGET:
                _check_target(value, where, is_allowed, origin)
            elif key == PARTIAL:
                if not isinstance(value, bool):
                    raise _refused(inner, "is neither true nor false", origin)
            elif not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", key):
                raise _refused(inner, "is no name of a setting", origin)
            elif key in PLACES and value is not None:
                raise _refused(inner, "names a place in the file system or network", origin)
            else:
                _check_node(value, inner, is_allowed, origin, depth + 1)
    elif isinstance(node, list):
        for i, item in enumerate(node):
            _check_node(item, f"{where}[{i}]", is_allowed, origin, depth + 1)
    elif reason := _wrong_value(node):
        raise _refused(where, reason, origin)


def _check_target(
    target: Any, where: str, is_allowed: Callable[[Any], bool], origin: str
) -> None:  # fmt: skip
    found = find_class(target) if isinstance(target, str) else None
    if found is None or not is_allowed(found):
        raise _refused(f"{where}.{TARGET}", f"names {target!r:.80}, not a class for it", origin)


def _wrong_value(value: Any) -> str | None:
    if value is None or isinstance(value, bool | int):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else "is not a finite number"
    if not isinstance(value, str):
        return f"is a {type(value).__name__}"
    if "${" in value or value == "???":
        return f"is to be filled in ({value!r:.80})"
    if "://" in value:
        return f"names a place in the network ({value!r:.80})"
    path = PurePosixPath(value)
    outside = path.is_absolute() or ".." in path.parts or value[1:2] == ":"
    if outside or value.startswith("~") or "\\" in value or not value.isprintable():
        return f"names a place in the file system ({value!r:.80})"
    return f"has more than {LONGEST} characters" if len(value) > LONGEST else None


def _refused(where: str, why: str, origin: str) -> UserError:
    return UserError(
        f"{origin} is not to be trusted: its entry {where} {why}; bundles hold plain settings and "
        "classes of ganforge and torch.nn alone, so get this one again from whoever made it"
    )
