"""Words that are guessed: other names of keys, a folder where a run or data are meant."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ganforge.config.compose import config_dir
from ganforge.utils.errors import UserError

OF_RUNS = ("evaluate", "generate", "translate", "retouch", "export", "explore", "push")
"""Commands that take a bare folder for the run."""


OF_DATA = ("train", "pack")
"""Commands that choose data."""


def understood(command: str, words: Sequence[str], folders: Sequence[str] = ()) -> list[str]:
    """The overrides with other names of keys replaced by ours, and bare folders by what they are.

    A word whose meaning is several keys is a UserError that names them. ``folders`` hold
    configuration of the user's own.
    """
    places = [config_dir(), *map(Path, folders)]
    if command in OF_DATA:
        words = [each for word in words for each in _pictures(word, places)]
    known = _keys_of(command)
    words = [_key(command, _run(command, word), known) for word in words]
    return [_place(command, word, words, places) for word in words]


def _run(command: str, word: str) -> str:
    """``generate outputs/latest`` is ``run=outputs/latest``, as is a model by its name."""
    named = word.startswith(("zoo:", "hf:"))
    if "=" in word or word.startswith(("~", "-")) or not (named or _there(word)):
        return word
    if command in OF_RUNS:
        return f"run={word}"
    if command == "train":
        raise UserError(
            f"{word} alone says nothing: data={word} trains on it, resume={word} goes on with it"
        )
    return word


def _pictures(word: str, places: Sequence[Path]) -> Iterator[str]:
    """``data=FOLDER_OR_ZIP`` is the data set of its pictures."""
    key, _, value = word.partition("=")
    place = value.strip("'\"")
    if key not in ("data", "dataset") or not place or _option("data", place, places):
        yield word
        return
    if _there(place) and (Path(place).is_dir() or Path(place).suffix.lower() == ".zip"):
        yield "data=image_folder"
        yield f"data.path={value}"
    elif os.sep in place or place.lower().endswith(".zip"):
        raise UserError(f"data={value}: there is no such folder or zip archive")
    else:
        yield word


def _key(command: str, word: str, known: Callable[[str], bool]) -> str:
    key, equals, value = word.partition("=")
    if not equals or known(key):
        return word
    table = _table()
    words = {**({} if command == "train" else table["all"]), **table.get(command, {})}
    meaning = words.get(key)
    if meaning is None:
        return word
    if " " in meaning:
        raise UserError(f"there is no key {key!r}: {meaning}")
    if meaning in ("data.path", "resume") or known(meaning):
        return f"{meaning}={value}"
    return word


@cache
def _table() -> dict[str, dict[str, str]]:
    return yaml.safe_load((config_dir() / "aliases.yaml").read_text(encoding="utf-8"))


def _keys_of(command: str) -> Callable[[str], bool]:
    """Whether a command has a key, as far as files tell without composing them."""
    content = read_options(config_dir() / f"{command}.yaml")
    own = {str(key) for key in content} - {"defaults"}
    groups = {group for group, _ in defaults_of(content)}

    def known(key: str) -> bool:
        first, _, rest = key.partition(".")
        if not rest:
            return key in own or key in groups
        if first in own and isinstance(content[first], dict):
            return rest.partition(".")[0] in content[first]
        return first in groups and key not in _table().get(command, {})

    return known


def _place(command: str, word: str, words: Sequence[str], places: Sequence[Path]) -> str:
    """``data.path=`` under the name that the chosen data have for where they lie."""
    key, equals, value = word.partition("=")
    if key not in ("data.path", "data.source.path") or not equals:
        return word
    if command in OF_DATA:
        option = _chosen_data(command, words)
        return f"{_place_of(option, places) or 'data.source.path'}={value}"
    return (
        f"data_path={value}"
        if "data_path" in read_options(config_dir() / f"{command}.yaml")
        else word
    )


def _chosen_data(command: str, words: Sequence[str]) -> str:
    """The data set that is composed: typed, or named by an experiment, a model or the defaults."""
    chosen = dict(word.split("=", 1) for word in words if "=" in word)
    if "data" in chosen:
        return chosen["data"]
    found = dict(defaults_of(read_options(config_dir() / f"{command}.yaml")))
    for group in ("model", "experiment"):
        name = chosen.get(group)
        file = _option(group, name, [config_dir()]) if name else None
        found |= dict(defaults_of(read_options(file))) if file else {}
    return str(found["data"])


def _place_of(option: str, places: Sequence[Path], depth: int = 0) -> str | None:
    """The key of a data set that says where its files lie."""
    file = _option("data", option, places)
    content = read_options(file) if file else {}
    if "path" in content:
        return "data.path"
    for part in ("source", "a"):
        node = content.get(part)
        for key in ("path", "folder") if isinstance(node, dict) else ():
            if key in node:
                return f"data.{part}.{key}"
    bases = [base for base in content.get("defaults", ()) if isinstance(base, str)]
    found = (_place_of(base, places, depth + 1) for base in bases if base != "_self_")
    return next(filter(None, found), None) if depth < 5 else None


def defaults_of(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Groups and their options in a defaults list, those that it overrides included."""
    for entry in content.get("defaults", ()):
        if isinstance(entry, dict):
            for name, option in entry.items():
                yield name.removeprefix("override ").lstrip("/").partition("@")[0], option


def _option(group: str, name: str, places: Sequence[Path]) -> Path | None:
    """The file of an option, if there is one."""
    if name.startswith((".", "/", "~")):
        return None
    files = (place / group / f"{name}.yaml" for place in places)
    return next((file for file in files if _there(str(file)) and file.is_file()), None)


@cache
def read_options(file: Path) -> dict[str, Any]:
    """What a file of the configuration holds."""
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {}


def _there(path: str) -> bool:
    try:
        return bool(path) and Path(path).expanduser().exists()
    except (OSError, ValueError):  # too long, or a character that no path can have
        return False
