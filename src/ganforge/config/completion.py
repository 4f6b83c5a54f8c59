"""Completion of ``ganforge`` in bash, zsh and fish: the shell asks ``ganforge complete WORDS``."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ganforge.config.aliases import defaults_of, read_options
from ganforge.config.compose import config_dir, without_flags

FLAGS = ("--help", "--cfg", "--config-dir", "--multirun", "--resolve")
CHOICES = {"checkpoint": ("best", "last"), "device": ("auto", "cpu", "cuda")}
SHELLS = {
    "bash": """\
_ganforge() {
    local line="${COMP_LINE:0:COMP_POINT}" typed last found
    read -ra typed <<< "$line"
    last="${typed[-1]}"
    [[ "$line" == *[[:space:]] ]] && typed+=("") && last=""
    mapfile -t found < <("${typed[0]}" complete "${typed[@]:1}" 2>/dev/null)
    COMPREPLY=()
    local prefix=""
    [[ "$COMP_WORDBREAKS" == *=* && "$last" == *=* ]] && prefix="${last%=*}="
    local each
    for each in "${found[@]}"; do COMPREPLY+=("${each#"$prefix"}"); done
    [[ ${#found[@]} == 1 && "${found[0]}" != *[=.] ]] && compopt +o nospace 2>/dev/null
}
complete -o nospace -o default -F _ganforge ganforge""",
    "zsh": """\
autoload -Uz compinit && compinit -C
_ganforge() {
    local -a found
    found=("${(@f)$(${words[1]} complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "$found[1]" ]]; then
        compadd -S '' -- "${found[@]}"
    else
        compset -P '*='
        _files
    fi
}
compdef _ganforge ganforge""",
    "fish": """\
function __ganforge_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] complete $words[2..-1] 2>/dev/null
end
complete -c ganforge -a '(__ganforge_complete)'""",
}


def completions(commands: Iterable[str], words: Sequence[str]) -> list[str]:
    """What the last of ``words`` may become; nothing where files are meant."""
    *before, last = words or [""]
    found = _all(list(commands), before, last)
    return sorted({each for each in found if each.startswith(last) and each != last})


def _all(commands: list[str], before: Sequence[str], last: str) -> Iterator[str]:
    if not before:
        yield from [*commands, "--help", "--version"]
        return
    if before[0] == "completion":
        yield from SHELLS
    file = config_dir() / f"{before[0]}.yaml"
    if before[0] not in commands or not file.is_file():
        return
    content = read_options(file)
    groups = [group for group, _ in defaults_of(content) if not group.startswith("hydra")]
    key, equals, value = last.partition("=")
    if last.startswith("-"):
        yield from FLAGS
    elif equals:
        _, folders = without_flags(before[1:])
        yield from _values(key, value, groups, [config_dir(), *map(Path, folders)])
    elif "." in key:
        yield from _nested(before, key)
    else:
        yield from (f"{group}=" for group in groups if group != "paths")
        yield from (f"{key}=" for key in content if key != "defaults")
        yield from (f"{group}." for group in groups)


def _values(key: str, value: str, groups: list[str], places: Sequence[Path]) -> Iterator[str]:
    """Options of a group; of several of them the last one is completed."""
    cut = max(value.rfind(","), value.rfind("[")) + 1
    stems = {file.stem for place in places for file in (place / key).glob("*.yaml")}
    options = sorted(stems) if key in groups else CHOICES.get(key, ())
    yield from (f"{key}={value[:cut]}{option}" for option in options)


def _nested(before: Sequence[str], key: str) -> Iterator[str]:
    """The keys one level below the node that is typed, of what is composed so far."""
    import sys

    from ganforge.config.arguments import prepared
    from ganforge.config.sentences import chosen, dotted_keys

    sys.argv = [f"ganforge {before[0]}", *prepared(before[0], before[1:])]
    node = key.rpartition(".")[0] + "."
    for each in (keys := dotted_keys(chosen(before[0]))):
        if each.startswith(node) and "_target_" not in each and "." not in each[len(node) :]:
            nested = any(other.startswith(f"{each}.") for other in keys)
            yield f"{each}." if nested else f"{each}="
