"""Whether a run may name classes of anyone's: those trained on this machine may, others not.

A run is rebuilt from its configuration, which may name any class and so execute anything. What is
trained here is remembered by its content, wherever its folder moves. A run from elsewhere may name
what can only compute, as a bundle does; for the rest its user has to say ``trusted=true``.
"""

import hashlib
import inspect
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganforge.config.trusted import WRAPPERS
from ganforge.utils.errors import UserError
from ganforge.utils.runs import Run

TARGET = "_target_"
SAFE = re.compile(
    r"(ganforge\.(augment|callbacks|data|latent|losses|metrics|models|networks)\.[a-z0-9_.]+"
    r"|ganforge\.utils\.regions|ganforge\.retouch\.[a-z0-9_]+|torch\.(nn|optim|optim\.lr_scheduler)|lightning\.pytorch)\.[A-Z][A-Za-z0-9]*"
)
OF_HYDRA = re.compile(r"[+~]*(hydra[./@]|hydra=|-|.*_target_)")
SCHEDULES = "ganforge.models.schedules"  # functions of a step
REACHING = {"storage_options"}
RESOLVERS = re.compile(r"\$\{\s*(?!(oc\.(env|select|dict\.\w+)|hydra|now)\s*:)[\w.]+\s*:")


def remember(run: Run) -> str | None:
    """Note that a run was trained here, from the configuration that lies in its folder.

    Returns a sentence where that could not be noted.
    """
    if not run.config.is_file():
        return None
    note = _registry() / _digest(run)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
    except OSError as error:
        return (
            f"{note} cannot be written ({error.strerror}): commands on this run may ask for "
            "trusted=true"
        )
    return None


def is_own(run: Run) -> bool:
    """Whether the configuration in a folder is one of a run that was trained here."""
    try:
        return (_registry() / _digest(run)).is_file()
    except OSError:
        return False


def need_trust(run: Run, config: DictConfig, key: str = "trusted") -> None:
    """Raise a UserError unless a run's configuration may be followed; makes nothing."""
    plain: Any = OmegaConf.to_container(config, resolve=False)
    if is_own(run) or (reason := _suspicious(plain, "")) is None:
        return
    raise UserError(
        f"{run.folder} was not trained on this machine, and its configuration {reason}, which may "
        f"execute anything or reach out: if you trust whoever made it, {key}=true loads it; else "
        "ask for a bundle (ganforge export), which cannot"
    )


def refuse_settings_of_hydra(run: Run, overrides: list[str], trusted: bool) -> None:
    """Raise a UserError where overrides of an unknown run would change what Hydra itself makes."""
    bad = [w for w in overrides if OF_HYDRA.match(w)]
    if bad and not trusted and not is_own(run):
        raise UserError(
            f"{run.folder} was not trained on this machine, and was started with {bad[0]}: if you "
            "trust whoever made it, resume.trusted=true goes on with it"
        )


def remember_command(words: Sequence[str]) -> None:
    """Note that a sweep was started here by these words."""
    with suppress(OSError):
        _registry().mkdir(parents=True, exist_ok=True)
        (_registry() / _command_digest(words)).touch()


def need_trust_of_command(folder: Path, command: Sequence[str], trusted: bool) -> None:
    """Raise a UserError where the words of an unknown sweep would change what Hydra makes."""
    bad = [w for w in command if OF_HYDRA.match(w) and w not in ("--multirun", "-m")]
    if not bad or trusted:
        return
    try:
        known = (_registry() / _command_digest(command)).is_file()
    except OSError:
        known = False
    if not known:
        raise UserError(
            f"{folder} was not started on this machine, and its command has {bad[0]}: if you trust "
            "whoever made it, resume.trusted=true goes on with it"
        )


def _command_digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(["sweep", *words]).encode("utf-8", "replace")).hexdigest()


def _suspicious(node: Any, where: str) -> str | None:
    """Why a node may do more than compute; None where it may not."""
    if isinstance(node, Mapping):
        if (target := node.get(TARGET)) is not None and not _is_safe(target):
            return f"names {str(target)[:80]!r} at {where or 'its top'}"
        items = [(f"{where}.{key}" if where else str(key), key, v) for key, v in node.items()]
        for inner, key, value in items:
            if key in REACHING and value is not None:
                return f"sets {inner}"
            if reason := _suspicious(value, inner):
                return reason
    elif isinstance(node, list):
        found = (_suspicious(item, f"{where}[{i}]") for i, item in enumerate(node))
        return next((reason for reason in found if reason), None)
    elif isinstance(node, str):
        if "://" in node:
            return f"names a place in the network at {where}"
        if RESOLVERS.search(node):
            return f"is computed at {where}"
    return None


def _is_safe(target: Any) -> bool:
    """Whether a name is that of a class of ganforge, torch.nn or torch.optim, at home there."""
    if not isinstance(target, str):
        return False
    if target in WRAPPERS:
        return True
    module, _, name = target.rpartition(".")
    if not SAFE.fullmatch(target) and module != SCHEDULES:
        return False
    try:
        found = vars(import_module(module)).get(name)
    except ImportError:
        return False
    home = getattr(found, "__module__", "")
    kind = inspect.isfunction if module == SCHEDULES else inspect.isclass
    return kind(found) and (home == module or home.startswith(f"{module}."))


def _digest(run: Run) -> str:
    """Content hash of what a run is rebuilt and resumed from."""
    digest = hashlib.sha256(run.config.read_bytes())
    overrides = run.config.with_name("overrides.yaml")
    digest.update(overrides.read_bytes() if overrides.is_file() else b"")
    return digest.hexdigest()


def _registry() -> Path:
    """Of this user, whatever paths.data_dir a run was given."""
    data = os.environ.get("GANFORGE_DATA") or os.path.join(
        os.environ.get("HOME") or os.path.expanduser("~"), ".cache", "ganforge"
    )
    return Path(data).expanduser() / "runs"
