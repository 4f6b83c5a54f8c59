"""Whether settings fit what their class's signature asks for, before anything is made from them."""

import collections.abc
import inspect
import types
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from hydra.utils import get_object

from ganforge.utils.errors import UserError

TARGET = "_target_"
OF_HYDRA = {TARGET, "_args_", "_partial_", "_recursive_", "_convert_"}
WORDS = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a word",
    type(None): "null", Path: "a path",
}  # fmt: skip
OBJECTS = ("ganforge.", "torch.nn", "torch.optim", "lightning.", "collections.abc")
LISTS = (
    list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable,
    collections.abc.Collection,
)  # fmt: skip


def check_arguments(node: Any, key: str) -> None:
    """Raise a UserError that names the first setting below ``key`` which its class cannot take.

    ``node`` holds plain values; whatever no signature tells of is left to the class itself.
    """
    if isinstance(node, list):
        for i, item in enumerate(node):
            check_arguments(item, f"{key}[{i}]")
    if not isinstance(node, Mapping):
        return
    parameters = _parameters(node.get(TARGET))
    for word, value in node.items():
        inner = f"{key}.{word}" if key else str(word)
        if parameters and word not in OF_HYDRA:
            _check(word, value, parameters, inner, str(node[TARGET]).rpartition(".")[2])
        check_arguments(value, inner)


def _parameters(target: Any) -> Mapping[str, inspect.Parameter]:
    """What may be given to a class or function by name; empty where that cannot be told."""
    try:
        return inspect.signature(get_object(target), eval_str=True).parameters if target else {}
    except Exception:  # noqa: BLE001 - instantiating it tells what is wrong with a name
        return {}


def _check(
    word: str, value: Any, parameters: Mapping[str, inspect.Parameter], key: str, name: str
) -> None:
    kinds = {parameter.kind for parameter in parameters.values()}
    if word not in parameters:
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            near = get_close_matches(word, parameters, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(parameters)}"
            raise UserError(f"{key}: {name} takes no {word}; {hint}")
        return
    parameter = parameters[word]
    if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
        return
    default = parameter.default is value or (value is None and parameter.default is None)
    if not default and not fits(value, parameter.annotation):
        told = "null" if value is None else value
        raise UserError(
            f"{key}={told} must be {' or '.join(dict.fromkeys(_words(parameter.annotation)))}: "
            f"change {key}"
        )


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value may be given where ``hint`` is the annotation."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, each) for each in inner)
    if origin is Literal:
        return value in inner
    kind = origin or hint
    if kind is None or kind is type(None):
        return value is None
    if not isinstance(kind, type) or kind is inspect.Parameter.empty:
        return True  # Any, a type variable, or nothing that was said
    if isinstance(value, Mapping) and TARGET in value:
        return kind not in WORDS
    if kind in (bool, str):
        return isinstance(value, kind)
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    if kind is Path:
        return isinstance(value, str)
    if kind in LISTS:
        each = inner[:1] if kind is not tuple or Ellipsis in inner or not inner else ()
        if not isinstance(value, list):
            return False
        if kind is tuple and inner and Ellipsis not in inner:
            return len(value) == len(inner) and all(map(fits, value, inner))
        return not each or all(fits(item, each[0]) for item in value)
    if kind is object:
        return True
    # An object, or settings that are no object; what others make of a word is theirs to say.
    return isinstance(value, Mapping) or not kind.__module__.startswith(OBJECTS)


def _words(hint: Any) -> Iterator[str]:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for each in inner:
            yield from _words(each)
    elif origin is Literal:
        yield from map(str, inner)
    elif hint in WORDS:
        yield WORDS[hint]
    elif (origin or hint) in LISTS:
        yield "a list"
    else:
        yield "settings with a _target_"
