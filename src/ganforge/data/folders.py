"""What the folders of a data set mean: splits by their usual names, classes, what lies beside."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

TRAIN = ("train", "training")
TEST = ("test", "testing")
VALIDATION = ("val", "valid", "validation", "dev")


@dataclass(frozen=True)
class Layout:
    """Files by split, each mapped to its name inside of the split; ``test`` None: to be divided."""

    train: dict[str, str]
    test: dict[str, str] | None = None
    notes: list[str] = field(default_factory=list)
    """Sentences on what is left out."""


def split_of(folder: str) -> str | None:
    """The split that a folder's name says: train, test or validation, in any case."""
    name = folder.lower()
    for split, names in (("train", TRAIN), ("test", TEST), ("validation", VALIDATION)):
        if name in names:
            return split
    return None


def layout(names: Iterable[str]) -> Layout:
    """Find the splits among the folders at the top, below what wraps all of them."""
    shorts = without_wrapping(names)
    folders = {top for short in shorts.values() if (top := top_folder(short)) is not None}
    strays = [name for name, short in shorts.items() if top_folder(short) is None]
    if len(folders) == 1 and strays and split_of(*folders) != "train":
        # One picture beside the folder that holds all the others.
        inside = layout(name for name in shorts if name not in set(strays))
        if inside.test is not None:
            return Layout(inside.train, inside.test, [*inside.notes, _beside(strays)])
    splits = {split: f for f in sorted(folders) if (split := split_of(f)) is not None}
    alone = len(folders) == 1
    if "train" not in splits or not (alone or len(splits) > 1):
        wrapping = {name.removesuffix(short) for name, short in shorts.items()}
        above = {part for folder in wrapping for part in folder.split("/")}
        held = sorted(f for f in {*folders, *above} if split_of(f) in ("test", "validation"))
        return Layout(shorts, notes=[_trained_on(folder) for folder in held])
    chosen = {"train": splits["train"]}
    if held_out := splits.get("test", splits.get("validation")):
        chosen["test"] = held_out
    inside = {split: _inside(shorts, folder) for split, folder in chosen.items()}
    inside = _without_common(inside)
    unused = Counter(top_folder(s) for s in shorts.values())
    notes = [
        f"{count} images in '{folder}' are not used: '{chosen['train']}' is trained on, "
        f"'{chosen.get('test')}' held out."
        for folder, count in sorted((f, c) for f, c in unused.items() if f is not None)
        if folder not in chosen.values()
    ]
    return Layout(
        inside["train"], inside.get("test"), [*notes, *([_beside(strays)] if strays else [])]
    )


def _trained_on(folder: str) -> str:
    return (
        f"There is no folder of training images beside '{folder}': its images are trained on, and "
        "a share of all held out."
    )


def named(names: Iterable[str], train: str, test: str | None) -> Layout | None:
    """The folders that the user names, below what wraps everything; None where one is missing."""
    whole = {name: name for name in names}
    for shorts in (whole, without_wrapping(whole)):
        found = [_inside(shorts, folder.strip("/")) for folder in (train, test) if folder]
        if all(found):
            if test is None:
                return Layout(without_wrapping_of(found[0]))
            return Layout(*_without_common(dict(enumerate(found))).values())
    return None


def without_wrapping(names: Iterable[str]) -> dict[str, str]:
    """Map names to names without the folders that all of them share."""
    return without_wrapping_of({name: name for name in names})


def without_wrapping_of(shorts: Mapping[str, str]) -> dict[str, str]:
    """The same names without the folders that all values share."""
    return _without_common({"": dict(shorts)})[""]


def top_folder(name: str) -> str | None:
    """Return the first folder of a relative name."""
    folder, slash, _ = name.partition("/")
    return folder if slash else None


def divide(shorts: Mapping[str, str], fraction: float) -> Layout:
    """Choose the test images by the hash of their names, as many of each class as it has share.

    Every class keeps an image to train on, as long as another can be spared for testing.
    """
    strata: dict[str | None, list[str]] = defaultdict(list)
    classes = classes_of(shorts.values())
    for name, short in shorts.items():
        strata[top_folder(short) if classes else None].append(name)
    for names in strata.values():
        names.sort(key=lambda name: _hash(shorts[name]))
    wanted = min(max(1, round(fraction * len(shorts))), len(shorts) - 1)
    counts = {c: min(int(fraction * len(names)), len(names) - 1) for c, names in strata.items()}
    # What rounding down leaves goes to those that lost most by it, then to the largest.
    order = sorted(strata, key=lambda c: (counts[c] - fraction * len(strata[c]), -len(strata[c])))
    for _ in range(2):
        for c in order:
            if sum(counts.values()) < wanted and len(strata[c]) > counts[c] + 1:
                counts[c] += 1
    if not any(counts.values()):
        counts[order[0]] = 1
    test = {name for c, names in strata.items() for name in names[: counts[c]]}
    return Layout(
        {name: short for name, short in shorts.items() if name not in test},
        {name: short for name, short in shorts.items() if name in test},
    )


def classes_of(shorts: Iterable[str]) -> list[str] | None:
    """The class folders, where every image lies in one and there are several."""
    found = {top_folder(short) for short in shorts}
    return None if None in found or len(found) < 2 else sorted(found)


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()


def _inside(names: Mapping[str, str], folder: str) -> dict[str, str]:
    prefix = folder + "/"
    return {n: short[len(prefix) :] for n, short in names.items() if short.startswith(prefix)}


def _without_common(splits: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The same names without the folders that all values of all splits share."""
    shorts = [short for names in splits.values() for short in names.values()]
    first, last = min(shorts, default=""), max(shorts, default="")
    differ = (i for i, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    cut = first.rfind("/", 0, next(differ, len(first))) + 1
    return {
        split: {name: short[cut:] for name, short in names.items()}
        for split, names in splits.items()
    }


def _beside(strays: list[str]) -> str:
    which = strays[0] if len(strays) == 1 else f"{strays[0]} and {len(strays) - 1} more"
    return f"Images beside the folders of the splits are not used: {which}."
