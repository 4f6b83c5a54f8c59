"""Directions of a trained generator by name: found once, kept beside the run, moved along."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ganforge.latent.directions import Directions, GANSpace, logistic_regression, sefa
from ganforge.latent.priors import Prior
from ganforge.latent.space import Space
from ganforge.metrics.features import FeatureExtractor
from ganforge.trained.load import LoadedRun
from ganforge.trained.space import build_space
from ganforge.utils.errors import UserError
from ganforge.utils.files import read_small, write_json

LARGEST = 16 << 20  # bytes of what was kept
COMPONENTS, POOL, MINIMUM, MEASURED, REACH = 5, 2000, 20, 64, 3.0
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Direction:
    """One way through latent space: ``vector``, shape ``D``, has the length 1.

    ``effects`` are how far three standard deviations to either side move each attribute's logits.
    """

    name: str
    words: str
    method: str
    vector: Tensor
    effects: Mapping[str, float]


def directions_of(
    loaded: LoadedRun,
    extractor: FeatureExtractor | None,
    space: str,
    label: int | None,
    progress: Progress,
) -> dict[str, Direction]:
    """The directions of a space by name: as they were kept beside the run, else found now."""
    weights = digest(loaded)
    classed = "" if label is None else f"_class{label}"
    path = loaded.place("explore", "known_directions", f"{space}{classed}.json")
    size = loaded.module.spaces(label)[space][0].size
    try:
        kept = json.loads(read_small(path, LARGEST))
        if kept["weights"] == weights:
            return _read(kept["methods"], size)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass  # nothing was kept, or nothing that can be used: it is found again
    methods = find(loaded, extractor, space, label, progress)
    with suppress(
        OSError, UserError
    ):  # a folder that cannot be written into: found again next time
        write_json({"weights": weights, "step": loaded.step, "methods": methods}, path)
    return _read(methods, size)


def find(
    loaded: LoadedRun,
    extractor: FeatureExtractor | None,
    space: str,
    label: int | None,
    progress: Progress,
) -> dict[str, Any]:
    """What ``tool=directions`` finds in small: without labels, and with those of a classifier.

    By method: vectors and effects by words. Works on a copy of the generator, so that others may
    draw with it meanwhile.
    """
    own = replace(loaded, module=deepcopy(loaded.module))
    built = build_space(own, extractor, name=space, label=label)
    knows = built.classify is not None
    expected = (POOL if knows else 0) + 2 * MEASURED * 3 * COMPONENTS
    built = replace(built, generate=_Counted(built, expected, progress))
    labelled = Directions(
        {"labels": logistic_regression} if knows else None,
        {"ganspace": GANSpace(samples=1000), "sefa": sefa},
        components=min(COMPONENTS, built.prior.size),
        reach=REACH, strengths=1, pool=POOL, minimum=MINIMUM, measured=MEASURED,
    )  # fmt: skip
    tools = [labelled, replace(labelled, supervised=None)]
    tools += [replace(tools[1], unsupervised={"ganspace": GANSpace(samples=1000)})]
    reason = UserError("")
    for tool in tools:  # attributes that do not vary, and first layers of an unknown kind, are rare
        try:
            numbers = tool(built).numbers
        except UserError as error:
            reason = error
            continue
        return {name: found for name, found in numbers.items() if isinstance(found, dict)}
    raise reason


def untold(share: float) -> None:
    """Tell nobody how far it is."""


class _Counted:
    """Makes images as a space does, and tells which share of the expected ones is made."""

    def __init__(self, space: Space, expected: int, progress: Progress) -> None:
        self.make, self.expected, self.progress, self.made = space.generate, expected, progress, 0

    def __call__(self, latents: Tensor) -> Tensor:
        images = self.make(latents)
        self.made += len(latents)
        self.progress(min(0.99, self.made / self.expected))
        return images


def digest(loaded: LoadedRun) -> str:
    """Content hash of a generator's weights: what was found is of them alone."""
    digest = hashlib.sha256()
    for name, tensor in sorted(loaded.module.generator.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(methods: Mapping[str, Any], size: int) -> dict[str, Direction]:
    """Directions by name; ValueError for anything that is none."""
    found: dict[str, Direction] = {}
    for method, entry in methods.items():
        for number, (words, vector) in enumerate(entry["directions"].items(), start=1):
            unit = torch.tensor(vector, dtype=torch.float32)
            effects = {str(k): float(v) for k, v in entry.get("effects", {}).get(words, {}).items()}
            if unit.shape != (size,) or not unit.isfinite().all():
                raise ValueError(f"{words} is no direction of {size} numbers")
            if not all(map(math.isfinite, effects.values())):
                raise ValueError(f"effects of {words} are not finite")
            name = words.partition(":")[0] if method == "labels" else f"{method}{number}"
            found[name] = Direction(name, words, method, unit, effects)
    if not found:
        raise ValueError("there is no direction")
    return found


def moved(
    latents: Tensor, moves: Mapping[str, float], known: Mapping[str, Direction], prior: Prior
) -> Tensor:
    """Latents ``N×D`` moved by so many standard deviations along named directions."""
    for name, amount in moves.items():
        if name not in known:
            raise UserError(f"edit knows no direction {name}: there are {', '.join(known)}")
        if (
            isinstance(amount, bool)
            or not isinstance(amount, int | float)
            or not (math.isfinite(amount))
        ):
            raise UserError(f"edit moves {name} by {amount}: give a number, such as 1.5")
        vector = known[name].vector[None]
        latents = latents + amount * (vector * prior.spread(vector)).to(latents.device)
    return latents
