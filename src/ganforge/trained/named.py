"""Trained models by name: those that ganforge brings along, and those of the Hugging Face hub.

Both are bundles, and are checked as any bundle of others.
"""

import json
import logging
import re
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from omegaconf import OmegaConf

from ganforge.config.compose import config_dir
from ganforge.utils.errors import UserError

ZOO, HUB = "zoo:", "hf:"
MODELS = Path(__file__).parents[1] / "zoo"
REPOSITORY = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<commit>\w[\w.-]*))?", re.ASCII)
PARTS = ("config.json", "model.safetensors", "README.md", "samples*.png", "scores.json")


def is_name(run: str | Path) -> bool:
    """Whether a run is meant by name and not by its folder."""
    return str(run).startswith((ZOO, HUB))


def place_of(run: str | Path) -> Path:
    """The folder of a run or bundle; what is named is found, or fetched."""
    text = str(run)
    if text.startswith(ZOO):
        return _brought_along(text.removeprefix(ZOO))
    if text.startswith(HUB):
        return _fetched(text.removeprefix(HUB))
    return Path(run).expanduser()


def zoo() -> list[str]:
    """Names of the models that ganforge brings along."""
    return sorted(path.parent.name for path in MODELS.glob("*/config.json"))


def listing() -> str:
    """A line about each of them, and how they are used."""
    lines = [
        f"  {ZOO + name:<{max(map(len, zoo())) + 5}} {_about(MODELS / name)}" for name in zoo()
    ]
    uses = ["ganforge generate run=zoo:avatars32 n=16 seed=7", 'm = ganforge.load("zoo:avatars32")']
    return "\n".join(["Ready-made models, in place of a run:", *lines, "", *uses])


def _about(folder: Path) -> str:
    facts = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    scores: list[dict[str, Any]] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    data, model = facts["data"], facts["model"]["_target_"].rpartition(".")[2]
    size = (folder / "model.safetensors").stat().st_size / 1e6
    told = ", ".join(f"{score['name']} {score['value']:.3g}" for score in scores[:2])
    return (
        f"{model}, {'×'.join(map(str, data['shape'][1:]))}, {data['name']}, {facts['step']} steps, "
        f"{size:.1f} MB; {told}"
    )


def _brought_along(name: str) -> Path:
    if name not in zoo():
        near = get_close_matches(name, zoo(), n=1)
        hint = f"did you mean {ZOO}{near[0]}?" if near else f"there are {', '.join(zoo())}"
        raise UserError(f"ganforge brings no model {name!r} along: {hint}")
    return MODELS / name


def repository(name: str) -> tuple[str, str | None]:
    """``USER/NAME`` and the commit behind an @, if any; a UserError for what is no such name."""
    match = REPOSITORY.fullmatch(name)
    if not match or ".." in name:
        raise UserError(f"{name} names no repository: write USER/NAME, or USER/NAME@COMMIT")
    return match["repo"], match["commit"]


def hub(what: str) -> ModuleType:
    """The library of the hub; a UserError says what needs it where it is missing."""
    try:
        library = import_module("huggingface_hub")
    except ImportError as error:
        raise UserError(
            f"{what} needs a package that is not installed: pip install 'ganforge[hub]'"
        ) from error
    for name in ("httpx", "httpx2"):  # a line for every request
        logging.getLogger(name).setLevel(logging.WARNING)
    return library


def hub_errors() -> tuple[type[Exception], ...]:
    """What goes wrong on the way to the hub, and there."""
    from huggingface_hub.errors import HfHubHTTPError

    # Its base is the error of the HTTP library, whose name differs from version to version.
    return OSError, ValueError, RuntimeError, *HfHubHTTPError.__bases__


def _fetched(name: str) -> Path:
    """A copy of a repository's bundle among the shared data; without a network the last one."""
    repo, commit = repository(name)
    library = hub(HUB + name)
    data = Path(OmegaConf.load(config_dir() / "paths" / "default.yaml").data_dir).expanduser()
    folder = data / "hub" / name
    try:
        library.snapshot_download(
            repo, revision=commit, local_dir=folder, allow_patterns=list(PARTS)
        )
    except hub_errors() as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{HUB}{name} cannot be fetched ({reason}): is it spelled so, public or yours "
            "(HF_TOKEN), and is there a network?"
        ) from error
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{HUB}{name} holds no bundle of ganforge (no config.json): ganforge push makes one"
        )
    return folder
