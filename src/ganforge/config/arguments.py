"""What is typed after ``ganforge COMMAND``, made ready for Hydra: flags first, paths as typed.

Hydra reads a value by its grammar, in which ``photos (1)``, ``a=b`` or ``it's`` are errors. The
value of a key that holds a path or a name is therefore quoted here, unless it is quoted already.
"""

import os
import re
from argparse import ArgumentError
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString

from ganforge.config.aliases import understood
from ganforge.config.compose import without_flags
from ganforge.utils.errors import UserError

PATHS = {
    "cache_dir", "data_dir", "data_path", "default_root_dir", "dir", "download_dir", "exemplar",
    "fake",
    "features.weights", "folder", "held_out", "input", "output", "output_dir", "outputs", "path",
    "real", "resume", "resume.run", "resume_sweep", "run", "save_dir", "test_folder",
    "train_folder",
}  # fmt: skip
"""Keys whose value is a path, in full or by their last word: the same everywhere."""
LISTS = {"runs", "images"}
"""Keys of several paths; one that stands alone may be a path or a number."""
NAMES = {"class", "group", "license", "name", "project", "entity", "repo"}
"""Keys of free text."""
ONE = ("hydra.", "paths.", "resume")
"""Beginnings of keys that a sweep cannot vary: a comma in their value is one of a name."""
QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
ALL_QUOTED = re.compile(rf"(?:{QUOTED})(?:\s*,\s*(?:{QUOTED}))*", re.DOTALL)
ITEM = re.compile(rf"\s*({QUOTED}|[^,]+)", re.DOTALL)
SWEEPING = re.compile(r"(choice|glob|sort|shuffle|range|interval|tag)\(.*\)", re.DOTALL)
PLAIN = re.compile(r"null|-?\d+")
WORD = re.compile(r"(\+{0,2})([A-Za-z_][\w.@/]*)=(.*)", re.DOTALL)


def prepared(command: str, words: Sequence[str]) -> list[str]:
    """The arguments of ``ganforge COMMAND`` as Hydra takes them; this may be done twice."""
    for word in words:
        if not word.isprintable() and not _is_text(word):
            raise UserError(f"{word!a} is no text in UTF-8: rename the file or folder")
    flags, overrides, sweeping = _sorted(words)
    _, folders = without_flags(flags)
    overrides = understood(command, with_folders(overrides, command), folders)
    overrides = [as_typed(word, sweeping) for word in overrides]
    if command == "train":
        _refuse_outside(overrides)
    if sweeping and any(flag.startswith(("--cfg", "-c")) and "dir" not in flag for flag in flags):
        flags = [flag for flag in flags if flag not in ("-m", "--multirun")]
        overrides = [_first(word) for word in overrides]
    return [*flags, *overrides]


def _refuse_outside(overrides: Sequence[str]) -> None:
    """Raise UserError for a run's name that leads out of the folder of all runs."""
    for word in overrides:
        key, _, value = word.lstrip("+").partition("=")
        if key == "name" and ".." in re.split(r"[/\\,'\"()\s]+", value):
            raise UserError(
                f"{word} leads out of paths.outputs: give a name without .., or "
                "the folder itself by hydra.run.dir=FOLDER"
            )


def _first(word: str) -> str:
    """What the first job of a sweep has: ``seed=1`` of ``seed=1,2,3``."""
    override = OverridesParser.create().parse_override(word)
    if not override.is_sweep_override():
        return word
    between = override.is_interval_sweep()
    first = override.value().start if between else next(override.sweep_string_iterator())
    return f"{override.get_key_element()}={first}"


def flags_first(words: Sequence[str]) -> list[str]:
    """The same words in an order that Hydra's own parser takes."""
    flags, overrides, _ = _sorted(words)
    return [*flags, *overrides]


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _sorted(words: Sequence[str]) -> tuple[list[str], list[str], bool]:
    """Flags with their values, overrides, and whether ``--multirun`` is among the flags."""
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        known, unknown = parser.parse_known_intermixed_args(list(words))
    except ArgumentError as error:
        raise UserError(f"{error}: ganforge COMMAND --help lists what there is") from error
    if unknown:
        raise UserError(f"there is no flag {unknown[0]}: ganforge COMMAND --help lists them")
    overrides, flags = list(known.overrides), []
    rest = iter(overrides)
    expected = next(rest, None)
    for word in words:
        if word == expected:
            expected = next(rest, None)
        else:
            flags.append(word)
    return flags, overrides, known.multirun


def with_folders(overrides: Sequence[str], command: str) -> list[str]:
    """``compare A B`` and ``leaderboard A`` take folders as they are typed: ``runs=[A,B]``."""
    if command not in ("compare", "leaderboard"):
        return list(overrides)
    folders = [word for word in overrides if "=" not in word or Path(word).exists()]
    if not folders:
        return list(overrides)
    others = [word for word in overrides if word not in folders]
    return [*others, f"runs=[{','.join(quoted(_home(folder)) for folder in folders)}]"]


def as_typed(word: str, sweeping: bool = False) -> str:
    """An override whose value Hydra reads as it was typed, where the key is of a path or a name.

    A sweep may vary a path, ``data.source.path=A,B``, unless a folder has that very name.
    """
    if not (match := WORD.fullmatch(word)):
        return word
    sign, key, value = match.groups()
    last = key.rpartition(".")[2]
    is_path = key in PATHS or last in PATHS
    if not (is_path or last in LISTS or last in NAMES):
        return word
    if not value.strip("'\" ") and not _exists(value):
        needed = "a path" if is_path or last in LISTS else "a word"
        raise UserError(f"{key}= is empty: give {needed}, or leave it out")
    return f"{sign}{key}={_value(key, value, sweeping and not key.startswith(ONE))}"


def _value(key: str, value: str, sweeping: bool) -> str:
    last = key.rpartition(".")[2]
    if _exists(value):
        if "${" in value:
            raise UserError(
                f"{key}={value}: in a configuration ${{...}} names another key; rename the folder"
            )
        alone = quoted(value)
        return f"[{alone}]" if last == "runs" else alone
    if value == "null" or ALL_QUOTED.fullmatch(value):
        return value
    if last in LISTS and value.startswith("[") and value.endswith("]"):
        return f"[{','.join(_each(value[1:-1]))}]"
    if last in LISTS | {"class"} and PLAIN.fullmatch(value):
        return value
    if sweeping and SWEEPING.fullmatch(value):
        return value
    if sweeping and "," in value:
        return ",".join(_each(value))
    return quoted(_home(value))


def _each(value: str) -> Iterator[str]:
    """The items of a list, each quoted."""
    for match in ITEM.finditer(value):
        item = match[1].strip()
        yield item if item == "null" or ALL_QUOTED.fullmatch(item) else quoted(_home(item))


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # a character that no path can have
        return False


def _home(path: str) -> str:
    """``~/x`` as a shell expands it where a word begins so, which this one did not."""
    return os.path.expanduser(path) if path.startswith("~") and not _exists(path) else path


def quoted(text: str) -> str:
    """A text for Hydra's grammar."""
    return QuotedString(text, Quote.single).with_quotes()


def unquoted(value: str) -> str:
    """The text that Hydra makes of a value which may be quoted."""
    if not ALL_QUOTED.fullmatch(value):
        return value
    return str(OverridesParser.create().parse_override(f"value={value}").value())
