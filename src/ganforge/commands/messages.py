"""Errors of Hydra, OmegaConf and ours as one sentence each."""

import re
from difflib import get_close_matches

from ganforge.utils.errors import GanforgeError


def explain(error: BaseException) -> tuple[str, int] | None:
    """The sentence and the exit code for an error that is the user's; None for a fault of ours."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, GanforgeError):
        return str(error), error.exit_code
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _config_sentence(str(error)), 2
    return None


def _config_sentence(text: str) -> str:
    """Turn the many lines of a configuration error into one that says what to do."""
    if match := re.search(r"Could not override '([^']+)'", text):
        return f"there is no key {match[1]!r}{_suggestion(match[1])}"
    if match := re.search(
        r"Could not find '([^']+)'\s+Available options in '[^']+':([\s\S]+)", text
    ):
        group, _, name = match[1].rpartition("/")
        options = match[2].split("\n\n")[0].split()
        near = get_close_matches(name, options, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"{group} has no option {name!r}: {hint}There are {', '.join(options)}"
    if match := re.search(r"Missing mandatory value: (\S+)", text):
        return f"{match[1]} must be given: {match[1]}=..."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    detail = [
        line for line in lines if not line.startswith(("full_key:", "object_type=", "reference"))
    ]
    return " ".join(detail).rstrip(".") + keys_named(lines)


def keys_named(lines: list[str]) -> str:
    """The key that OmegaConf names on a line of its own."""
    key = next(
        (line.removeprefix("full_key:").strip() for line in lines if line.startswith("full_key:")),
        "",
    )
    return f" (key {key})" if key else ""


def _suggestion(key: str) -> str:
    """The nearest existing key; the configuration is composed once more without overrides."""
    import sys

    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from ganforge.cli import config_dir

    command = sys.argv[0].split()[-1]
    hint = f": ganforge {command} --cfg job prints all keys"
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose(command)
    keys = list(_keys(config))
    groups = [folder.name for folder in config_dir().iterdir() if folder.is_dir()]
    near = get_close_matches(key, [*keys, *groups], n=1, cutoff=0.6)
    return f": did you mean {near[0]!r}?" if near else hint


def _keys(node: object, prefix: str = "") -> list[str]:
    """All dotted keys of a configuration, without resolving it."""
    from omegaconf import DictConfig, OmegaConf

    if not isinstance(node, DictConfig):
        return [prefix.rstrip(".")]
    found = [] if not prefix else [prefix.rstrip(".")]
    for key in node:
        child = (
            None
            if OmegaConf.is_interpolation(node, key) or OmegaConf.is_missing(node, key)
            else node[key]
        )
        found += _keys(child, f"{prefix}{key}.")
    return found
