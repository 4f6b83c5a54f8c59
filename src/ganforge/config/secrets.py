"""Settings that hold keys and addresses of object stores: used, and never written down."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganforge.utils.errors import UserError
from ganforge.utils.files import atomic_path
from ganforge.utils.runs import Run

SECRET = "storage_options"
MASK = "masked"
WORD = re.compile(rf"({SECRET}[^=,]*[=:])(.*)", re.DOTALL)


def masked(node: Any, inside: bool = False) -> Any:
    """Plain settings without the values below ``storage_options``.

    References to the environment stay: they say where a key lies, and not what it is.
    """
    if isinstance(node, dict):
        return {key: masked(value, inside or key == SECRET) for key, value in node.items()}
    if isinstance(node, list):
        return [masked(item, inside) for item in node]
    if not isinstance(node, str):
        return MASK if inside and node is not None else node
    if inside:
        return node if "${oc.env:" in node else MASK
    return _masked_word(node)


def _masked_word(word: str) -> str:
    return WORD.sub(lambda m: m[0] if "${oc.env:" in m[2] else m[1] + MASK, word)


def without_secrets(config: Any) -> Any:
    """A configuration or list as it may be written down: itself where it holds no secret."""
    found = OmegaConf.to_container(config, resolve=False)
    hidden = masked(found)
    return config if hidden == found else OmegaConf.create(hidden)


def hide_secrets(run: Run) -> None:
    """Mask them in the files that Hydra wrote, and in what W&B is going to read of the command."""
    sys.argv[1:] = [_masked_word(word) for word in sys.argv[1:]]
    for path in run.config.parent.glob("*.yaml"):
        if SECRET in path.read_text(encoding="utf-8"):
            _rewrite(path)


def _rewrite(path: Path) -> None:
    found = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    hidden = masked(found)
    if hidden != found:
        with atomic_path(path) as temporary:
            OmegaConf.save(OmegaConf.create(hidden), temporary)


def refuse_secrets(arguments: Sequence[str]) -> None:
    """Raise a UserError where a sweep would have to keep keys for its jobs."""
    given = [word for word in arguments if SECRET in word and _masked_word(word) != word]
    if given and {"-m", "--multirun"} & set(arguments):
        key = given[0].partition("=")[0]
        raise UserError(
            f"{key} would be written into the files of the sweep: name a variable of the "
            f"environment that holds it, as in '{key}=${{oc.env:NAME}}'"
        )


def plain_for_loggers(config: DictConfig) -> Any:
    """The resolved configuration, fit to be shown to others: references are values by now."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return _without_values(plain, False)


def _without_values(node: Any, inside: bool) -> Any:
    if isinstance(node, dict):
        return {key: _without_values(v, inside or key == SECRET) for key, v in node.items()}
    if isinstance(node, list):
        return [_without_values(item, inside) for item in node]
    return MASK if inside and node is not None else node
