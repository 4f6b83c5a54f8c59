"""What ``ganforge COMMAND --help`` says: the configuration's files, read but not composed."""

import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ganforge.config.aliases import defaults_of, read_options
from ganforge.config.compose import config_dir, without_flags

HIDDEN = {"hydra", "hydra/job_logging", "paths"}
EXAMPLES = """
Change any key of the composed configuration (key=value), for example:
  trainer.max_steps=5000  data.size=32  data.batch_size=128  seed=1

ganforge train data=FOLDER_OR_ZIP     train on pictures of your own
ganforge train -m seed=1,2,3          run a sweep
ganforge train resume=outputs/<run>   go on with a run that was stopped
ganforge train resume=auto ...        go on with the newest such run, or start one
"""


def help_of(command: str, line: str, words: Sequence[str]) -> str:
    """The help of a command; ``words`` may choose options and name folders of configuration."""
    overrides, folders = without_flags(words)
    places = [config_dir(), *map(Path, folders)]
    chosen = dict(word.split("=", 1) for word in overrides if "=" in word)
    file = config_dir() / f"{command}.yaml"
    groups = {k: v for k, v in defaults_of(read_options(file)) if k not in HIDDEN}
    parts = [f"ganforge {command} - {line}"]
    if groups:
        parts.append("Choose from each group (group=option):")
        parts += [_group(name, default, places) for name, default in groups.items()]
    parts.append("Keys (key=value) and what they are now:\n" + "\n".join(_keys(file, "")))
    if "tool" in groups:
        tool = chosen.get("tool", groups["tool"])
        if files := [file for name, file in _options("tool", places) if name == tool]:
            parts.append(f"Keys of tool={tool}:\n" + "\n".join(_keys(files[0], "tool.")))
    if command == "train":
        parts.append(EXAMPLES.strip())
    parts.append(f"ganforge {command} --cfg job prints the composed configuration.")
    return _cut("\n\n".join(parts))


def _cut(text: str) -> str:
    """The same with lines that end where the terminal does; whole in files and pipes."""
    width = shutil.get_terminal_size((sys.maxsize, 0)).columns
    lines = text.splitlines()
    return "\n".join(x if len(x) <= width else f"{x[: width - 1].rstrip()}…" for x in lines)


def _group(name: str, default: object, places: Sequence[Path]) -> str:
    """A group with its default and a line for each option."""
    found = dict(_options(name, places))
    if isinstance(default, list):
        default = f"[{','.join(map(str, default))}]"
    width = max((len(option) for option in found), default=0)
    lines = [f"  {option:<{width}}  {about(file)}".rstrip() for option, file in found.items()]
    return "\n".join([f"{name}: {'null' if default is None else default}", *lines])


def _options(group: str, places: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    files = [file for place in places for file in (place / group).glob("*.yaml")]
    yield from sorted((file.stem, file) for file in files)


def about(file: Path) -> str:
    """The first line of comment in a file."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            return ""
        if not line.startswith("# @package"):
            return line.lstrip("# ").strip()
    return ""


def _keys(file: Path, prefix: str) -> Iterator[str]:
    """The keys as their file has them, comments beside them included."""
    lines = file.read_text(encoding="utf-8").splitlines()
    body = re.sub(r"(?m)^defaults:\n((  .*)?\n)*", "", "\n".join(lines) + "\n").splitlines()
    while body and (body[0].startswith("#") or not body[0].strip()):
        body.pop(0)
    for line in body:
        if "_target_:" not in line and "${hydra:" not in line and line.strip():
            yield f"  {prefix}{line}" if line[0].isalpha() else f"  {line}"
