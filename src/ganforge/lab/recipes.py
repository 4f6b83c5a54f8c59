"""What a page shows, as lines to paste: the command of ganforge and the program in Python."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge.config.arguments import quoted
from ganforge.trained.named import MODELS, ZOO
from ganforge.utils.terminal import command, relative_path


@dataclass(frozen=True)
class Recipe:
    """A line for a shell and lines of Python; either may be empty."""

    shell: str = ""
    python: str = ""


def line(name: str, folder: Path, **settings: Any) -> str:
    """A command of ganforge as a shell takes it; settings that are None are left out."""
    words = [f"{key.rstrip('_')}={_word(v)}" for key, v in settings.items() if v is not None]
    return command("ganforge", name, f"run={_spoken(folder)}", *words)


def _spoken(folder: Path) -> str:
    """A run as it is typed: a ready-made one by its name."""
    return f"{ZOO}{folder.name}" if folder.parent == MODELS else relative_path(folder)


def _word(value: Any) -> str:
    """A value as Hydra reads it."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}:{_word(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple | range):
        return "[" + ",".join(map(_word, value)) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    plain = not isinstance(value, str) or re.fullmatch(r"[\w.\-/]+", value)
    return str(value) if plain else quoted(value)


def call(method: str, *values: Any, **settings: Any) -> str:
    """A call in Python; settings that are None are left out."""
    words = [*map(_literal, values)]
    words += [f"{key}={_literal(v)}" for key, v in settings.items() if v is not None]
    return f"{method}({', '.join(words)})"


def _literal(value: Any) -> str:
    return str(list(value)) if isinstance(value, range) else repr(value)


def program(folder: Path, *lines: str) -> str:
    """A program that opens the model and does what the lines say."""
    return "\n".join(["import ganforge as gf", "", f"m = gf.load({_spoken(folder)!r})", *lines])


def seeds_of(seeds: Sequence[int]) -> list[int]:
    """Seeds as plain numbers."""
    return [int(seed) for seed in seeds]
