"""Errors of Hydra, OmegaConf and ours as one sentence each."""

import errno
import re
import sys
from difflib import get_close_matches
from pathlib import Path
from traceback import extract_tb

from ganforge.utils.errors import GanforgeError


def explain(error: BaseException) -> tuple[str, int] | None:
    """The sentence and the exit code for an error that is the user's; None for a fault of ours."""
    from hydra.core.override_parser.overrides_parser import OverrideParseException
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, GanforgeError):
        return " ".join(str(error).split()), error.exit_code
    if isinstance(error, OverrideParseException):
        return f"{error.override!r} is not a valid override: {error.message.splitlines()[0]}", 2
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _config_sentence(str(error)), 2
    if isinstance(error, OSError) and error.errno in PLACE:
        return f"{error.filename} cannot be used ({error.strerror}): choose another place", 2
    return (" ".join(str(error).split()), 2) if _is_refusal(error) else None


# What is wrong with a place that the user chose, not with the program.
PLACE = {
    errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
    errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS,
}  # fmt: skip
REFUSING = ("networks", "losses", "augment", "models")


def _is_refusal(error: BaseException) -> bool:
    """Whether our mathematics raised a ValueError itself: those folders know no other error."""
    if not isinstance(error, ValueError):
        return False
    frame = extract_tb(error.__traceback__)[-1]
    folder = Path(frame.filename).parent
    ours = folder.name in REFUSING and folder.parent == Path(__file__).parents[1]
    return ours and str(frame.line).startswith("raise ValueError")


def _config_sentence(text: str) -> str:
    """Turn the many lines of a configuration error into one that says what to do."""
    if match := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(match[1])
    if match := re.search(r"Could not (?:find|load) '([^']+)'", text):
        return _unknown_option(match[1])
    if match := re.search(r"Missing mandatory value: (\S+)", text):
        return f"{match[1]} must be given: {match[1]}=..."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    noise = ("full_key:", "object_type=", "reference_type=", "See https")
    sentence = " ".join(line for line in lines if not line.startswith(noise))
    key = next((line.removeprefix("full_key: ") for line in lines if "full_key: " in line), None)
    return f"{sentence.rstrip('.')} (key {key})" if key else sentence


# Options of Hydra's plug-ins, and the extra that installs each.
EXTRAS = {
    "hydra/sweeper/optuna": "optuna",
    "hydra/sweeper/sampler/tpe": "optuna",
    "hydra/launcher/submitit_slurm": "slurm",
    "hydra/launcher/submitit_local": "slurm",
    "hydra/launcher/ray": "ray",
}


def _unknown_option(path: str) -> str:
    """Name what a group offers instead, or what must be installed."""
    from ganforge.cli import config_dir

    if path in EXTRAS:
        return f"{path} is not installed: pip install 'ganforge[{EXTRAS[path]}]'"
    group, _, name = path.rpartition("/")
    options = sorted(file.stem for file in (config_dir() / group).glob("*.yaml"))
    near = get_close_matches(name, options, n=1)
    hint = f"did you mean {near[0]}? There are" if near else "there are"
    return f"{group} has no option {name!r}: {hint} {', '.join(options)}"


def _unknown_key(key: str) -> str:
    """Name the nearest key; the configuration is composed once more, without the overrides."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from ganforge.cli import config_dir

    command = sys.argv[0].split()[-1]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        keys = _keys(compose(command))
    groups = [folder.name for folder in config_dir().iterdir() if folder.is_dir()]
    near = get_close_matches(key, [*keys, *groups], n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"ganforge {command} --cfg job prints all keys"
    return f"there is no key {key!r}: {hint}"


def _keys(node: object, prefix: str = "") -> list[str]:
    """All dotted keys below ``prefix``, without resolving interpolations."""
    from omegaconf import DictConfig

    if not isinstance(node, DictConfig):
        return [prefix]
    children = node.items_ex(resolve=False)
    nested = [_keys(child, f"{prefix}.{key}" if prefix else str(key)) for key, child in children]
    return [prefix, *(key for keys in nested for key in keys)]
