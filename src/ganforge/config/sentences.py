"""Errors of Hydra, OmegaConf and ours as one sentence each."""

import errno
import os
import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, NoReturn

from ganforge.utils.errors import GanforgeError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def explain(error: BaseException) -> tuple[str, int] | None:
    """The sentence and the exit code for an error that is the user's; None for a fault of ours."""
    from hydra.core.override_parser.overrides_parser import OverrideParseException
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, GanforgeError):
        return " ".join(str(error).split()), error.exit_code
    if isinstance(error, OverrideParseException):
        return f"{error.override!r} is not a valid override: {error.message.splitlines()[0]}", 2
    if "Config group override must be" in str(error):
        return _null_group(), 2
    if isinstance(error, HydraException | OmegaConfBaseException):
        text = str(error).strip() or str(error.__cause__ or "").strip()
        return _config_sentence(text or "a value cannot be read: quote its ${ } and commas"), 2
    if isinstance(error, OSError) and error.errno is not None and error.errno not in OURS:
        return _place_sentence(error), 2
    for is_known, sentence, code in KNOWN:
        if is_known(error):
            return f"{sentence} ({_reason(error)})", code
    return (" ".join(str(error).split()), 2) if _is_refusal(error) else None


# What the system says where the program is at fault, not a place, a disk or a network.
OURS = {errno.EBADF, errno.ECHILD, errno.EFAULT, errno.EDEADLK}
# What is wrong with a place that the user chose.
PLACE = {
    errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
    errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EINVAL,
}  # fmt: skip


def _place_sentence(error: OSError) -> str:
    if error.filename is None:
        return f"the system refused: {error.strerror}"
    if error.errno in PLACE:
        return f"{error.filename} cannot be used ({error.strerror}): choose another place"
    return f"{error.filename} cannot be used: {error.strerror}"


def _reason(error: BaseException) -> str:
    """The first line of what a library says, and no more than fits one line of ours."""
    return (" ".join(str(error).strip().splitlines()[:1]) or type(error).__name__)[:200]


def _is(*names: str) -> Callable[[BaseException], bool]:
    """A test for classes by name, so that no library is imported to tell its errors."""

    def test(error: BaseException) -> bool:
        return any(f"{c.__module__}.{c.__qualname__}" in names for c in type(error).__mro__)

    return test


def _says(kind: type[BaseException], pattern: str) -> Callable[[BaseException], bool]:
    return lambda error: isinstance(error, kind) and bool(re.search(pattern, str(error)))


TOO_LARGE = (
    "this needs more memory than there is: lower the sizes, counts or data.batch_size that were "
    "asked for"
)
# Errors whose cause lies outside of the program, what they mean, and the exit code. An error that
# is not here is a fault of ours, or of a class of the user's own, and keeps its stack trace.
KNOWN: list[tuple[Callable[[BaseException], bool], str, int]] = [
    (_is("builtins.MemoryError", "torch.OutOfMemoryError"), TOO_LARGE, 2),
    (
        _says(
            RuntimeError,
            "(?i)can't allocate memory|not enough memory|out of memory|alloc_cpu|"
            "Storage size calculation overflowed|numel: integer multiplication overflow|"
            "too large for|bytes exceeds",
        ),
        TOO_LARGE,
        2,
    ),
    (_says(ValueError, "(?i)maximum (allowed|supported) dimension|array is too big"), TOO_LARGE, 2),
    (
        _says(Exception, r"Error\(s\) in loading state_dict|loaded state dict (contains|has)"),
        "the weights do not fit the networks: no size of a network may change between a checkpoint "
        "and what goes on with it",
        2,
    ),
    (_is("builtins.OverflowError"), "a number is larger than can be computed with", 2),
    (_says(Exception, "Overflow when unpacking|value cannot be converted"), "a number is larger "
     "than can be computed with", 2),
    (_is("builtins.ModuleNotFoundError"), "a package is missing: install it with pip", 2),
    (
        _is("lightning.fabric.utilities.exceptions.MisconfigurationException",
            "lightning.fabric.utilities.exceptions.MissingRankZeroOnlyImport"),
        "Lightning cannot train like this",
        2,
    ),
    (
        _is("pydantic_core._pydantic_core.ValidationError"),
        "a setting is not of its kind: --cfg job prints all of them",
        2,
    ),
    (_is("wandb.errors.errors.Error"), "W&B refuses this: change logger.wandb, or leave it out", 2),
    (
        _is("PIL.Image.DecompressionBombError", "PIL.Image.DecompressionBombWarning",
            "PIL.UnidentifiedImageError", "zipfile.BadZipFile", "zlib.error",
            "safetensors._safetensors_rust.SafetensorError", "json.decoder.JSONDecodeError",
            "yaml.error.YAMLError", "_pickle.UnpicklingError"),
        "a file cannot be read: remove it, or get it again",
        3,
    ),
]  # fmt: skip
REFUSING = ("networks", "losses", "augment", "models")


def _is_refusal(error: BaseException) -> bool:
    """Whether our mathematics raised a ValueError itself: those folders know no other error."""
    if not isinstance(error, ValueError):
        return False
    frame = extract_tb(error.__traceback__)[-1]
    folder = Path(frame.filename).parent
    ours = folder.name in REFUSING and folder.parent == Path(__file__).parents[1]
    return ours and str(frame.line).startswith("raise ValueError")


def _null_group() -> str:
    """Which of the groups that were chosen is nothing, or no name."""
    from ganforge.config.compose import config_dir

    chosen = [word for word in sys.argv[1:] if (config_dir() / word.partition("=")[0]).is_dir()]
    odd = [word for word in chosen if word.endswith("=null")]
    return (
        f"{' '.join(odd or chosen)} chooses no option, and nothing can be done without it: "
        "leave it out, or choose one that --help lists"
    )


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
    "hydra/launcher/submitit_slurm": "slurm",
    "hydra/launcher/submitit_local": "slurm",
    "hydra/launcher/ray": "ray",
}


def _unknown_option(path: str) -> str:
    """Name what a group offers instead, or what must be installed."""
    from ganforge.config.compose import config_dir

    if path in EXTRAS:
        return f"{path} is not installed: pip install 'ganforge[{EXTRAS[path]}]'"
    group, _, name = path.rpartition("/")
    options = sorted(file.stem for file in (config_dir() / group).glob("*.yaml"))
    near = get_close_matches(name, options, n=1)
    hint = f"did you mean {near[0]}? There are" if near else "there are"
    return f"{group} has no option {name!r}: {hint} {', '.join(options)}"


def _unknown_key(key: str) -> str:
    """Name the nearest key and its value; the configuration is composed with what was chosen."""
    from omegaconf import DictConfig, OmegaConf

    from ganforge.config.compose import config_dir

    command = sys.argv[0].split()[-1]
    config = chosen(command)
    *parents, last = key.split(".")
    node, place = config, ""
    for parent in parents:
        child = OmegaConf.select(node, parent, throw_on_missing=False) if parent in node else None
        if not isinstance(child, DictConfig):
            break
        node, place = child, f"{place}{parent}."
    else:
        if place:
            return f"there is no key {key!r}: {_beside(node, place, last)}"
    keys = dotted_keys(config)
    groups = [folder.name for folder in config_dir().iterdir() if folder.is_dir()]
    same = [other for other in keys if other.rpartition(".")[2] == last]
    near = get_close_matches(key, [*keys, *groups], n=1, cutoff=0.75) or same[:3]
    near = near or get_close_matches(key, [*keys, *groups], n=1)
    told = " or ".join(repr(each) for each in near)
    hint = f"did you mean {told}?" if near else f"ganforge {command} --cfg job prints all keys"
    return f"there is no key {key!r}: {hint}"


def _beside(node: "DictConfig", place: str, last: str) -> str:
    """What stands where a key was looked for: the nearest one, and the others with their values."""
    keys = [str(key) for key in node if key != "_target_"]
    begun = [key for key in keys if key.startswith(last) or last.startswith(key)]
    near = begun[:1] or get_close_matches(last, keys, n=1, cutoff=0.5)
    hint = f"did you mean {place + near[0]!r}? " if near else ""
    return f"{hint}{place.rstrip('.')} has {', '.join(_shown(node, key) for key in keys)}"


def _shown(node: "DictConfig", key: str) -> str:
    """A key with its value where that is short."""
    from omegaconf import OmegaConf

    value = OmegaConf.to_container(node, resolve=False)[key]
    told = "null" if value is None else str(value)
    return key if isinstance(value, dict | list) or len(told) > 24 else f"{key}={told}"


def chosen(command: str) -> "DictConfig":
    """The configuration with the groups that were typed; without them where they do not go."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from ganforge.config.compose import config_dir

    typed = [w for w in sys.argv[1:] if "=" in w and (config_dir() / w.partition("=")[0]).is_dir()]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        try:
            return compose(command, typed)
        except Exception:  # noqa: BLE001 - what was typed beside it is wrong, too
            return compose(command)


def dotted_keys(node: object, prefix: str = "") -> list[str]:
    """All dotted keys below ``prefix``, without resolving interpolations."""
    from omegaconf import DictConfig

    if not isinstance(node, DictConfig):
        return [prefix]
    children = node.items_ex(resolve=False)
    nested = [
        dotted_keys(child, f"{prefix}.{key}" if prefix else str(key)) for key, child in children
    ]
    return [prefix, *(key for keys in nested for key in keys)]


def explain_and_exit(error: Exception) -> NoReturn:
    """End with one sentence for an error of the user's, with the stack trace for one of ours."""
    told = explain(error)
    if told is None or os.environ.get("GANFORGE_TRACE") == "1":
        raise error
    fail(*told)


def fail(message: str, exit_code: int) -> NoReturn:
    """Say one sentence on standard error and leave."""
    print(f"ganforge: {message}", file=sys.stderr)
    raise SystemExit(exit_code)
