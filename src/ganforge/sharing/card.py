"""The README of a bundle: what the model is, how it was measured, how to draw from it."""

import json
import math
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from ganforge import __version__
from ganforge.metrics.protocol import Score
from ganforge.models.region import RegionTranslator
from ganforge.models.translator import Translator
from ganforge.report.tables import BETTER, protocol_line
from ganforge.scoring.ranking import read_records
from ganforge.trained.load import LoadedRun

CONSENT = (
    "Use it on pictures of people who agree to it. What it makes is marked as synthetic in the "
    "picture's\nmetadata: leave that in, and never pass such a picture off as a record of what "
    "somebody did or said."
)


DRAWN = tuple(
    f"ganforge.data.{name}"
    for name in ("avatars.Avatars", "avatar_domains.AvatarDomain", "drawn_eyes.DrawnEyes",
                 "talkers.Talkers")
)  # fmt: skip
OWN_STYLE = "avataaars"
KNOWN_LICENSES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0",
    "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "gpl-3.0", "agpl-3.0", "unlicense",
)  # fmt: skip
"""Identifiers of licences that the Hugging Face hub takes."""


@dataclass(frozen=True)
class Card:
    """What a model card is written from; ``pictures`` maps files to what they show.

    ``place`` is what a user says in place of a run, ``recipe`` the command that trained, ``half``
    whether the weights were rounded.
    """

    loaded: LoadedRun
    name: str
    pictures: dict[str, str]
    license: str | None
    place: str
    recipe: str | None = None
    half: bool = False


def model_card(card: Card) -> str:
    """Markdown behind YAML that model hubs read, with every score beside its protocol."""
    pictures = [f"![{shows}]({file})\n\n{shows}.\n" for file, shows in card.pictures.items()]
    parts = [
        f"---\n{yaml.safe_dump(_front_matter(card), sort_keys=False, allow_unicode=True)}---\n",
        f"# {card.name}\n",
        f"{_summary(card)}\n",
        *pictures,
        f"## Scores\n\n{_scores(card.loaded)}\n",
        f"## Use\n\n{_use(card)}\n",
        *([f"## Recipe\n\n```bash\n{card.recipe}\n```\n"] if card.recipe else []),
        f"## Training data\n\n{_data(card.loaded.config)}\n",
        f"## Licence\n\n{_licence(card)}\n",
        "## Files\n\n`model.safetensors` holds the weights, `config.json` what they belong to. "
        "Neither can execute\nanything: ganforge refuses a configuration that names other classes "
        f"than its own and `torch.nn`.\nWritten by ganforge {__version__}.\n",
    ]
    return "\n".join(parts)


def _front_matter(card: Card) -> dict[str, Any]:
    """What hubs sort models by, and their scores as a leaderboard reads them."""
    loaded, scores = card.loaded, list(read_scores(card.loaded))
    translates = isinstance(loaded.module, Translator)
    task = "image-to-image" if translates else "unconditional-image-generation"
    data = {"name": loaded.config.data.name, "type": loaded.config.data.name}
    metrics = [
        {"type": score.metric, "value": score.value, "name": score.name}
        for score in scores
        if math.isfinite(score.value)
    ]
    results = [{"task": {"type": task}, "dataset": data, "metrics": metrics}]
    return {
        "library_name": "ganforge",
        "pipeline_tag": task,
        "tags": ["ganforge", "gan", "pytorch"],
        **license_keys(card.license),
        **({"model-index": [{"name": card.name, "results": results}]} if metrics else {}),
    }


def license_keys(terms: str | None) -> dict[str, str]:
    """A licence that hubs know by its identifier, or one that they do not."""
    if terms is None:
        return {}
    if terms.lower() in KNOWN_LICENSES:
        return {"license": terms.lower()}
    return {"license": "other", "license_name": terms}


def _summary(card: Card) -> str:
    loaded = card.loaded
    module, config = loaded.module, loaded.config
    shape = "×".join(map(str, config.data.shape))
    rows = [
        f"| {task} | `{type(getattr(module, name)).__name__}`, {_count(module, name)} parameters |"
        for task, name in module.generators().items()
    ]
    what = f"`{type(module).__name__}` trained with ganforge on `{config.data.name}`"
    weights = "averaged (EMA)" if loaded.ema else "last, not averaged"
    if card.half:
        weights += "; rounded to 16-bit floats, which changes pixels by at most one level of 255"
    return "\n".join(
        [
            f"A {what}, {shape}.\n",
            "| | |",
            "|---|---|",
            *rows,
            f"| trained | {loaded.step} steps |",
            f"| weights | {weights} |",
        ]
    )


def _count(module: Any, name: str) -> str:
    return f"{sum(p.numel() for p in getattr(module, name).parameters()):,}"


def _scores(loaded: LoadedRun) -> str:
    scores = list(read_scores(loaded))
    if not scores:
        return "No score was measured at this step."
    lines = ["| score | value | protocol |", "|---|---|---|"]
    for score in scores:
        arrow = BETTER.get(score.metric, "↓")
        told = [protocol_line(score), *(f"{key} {value}" for key, value in score.protocol.settings)]
        lines.append(f"| {score.name} {arrow} | {score.value:.4g} | {'; '.join(told)} |")
    return "\n".join([*lines, "\nScores of other protocols must not be compared with these."])


def read_scores(loaded: LoadedRun) -> Iterable[Score]:
    """Every score of the exported step: those of training, then those of ``ganforge evaluate``."""
    seen = set()
    evaluations = sorted((loaded.run.folder / "evaluations").glob("*.json"))
    for path in [loaded.run.scores, *evaluations]:
        for score in read_records(path) if path.is_file() else []:
            key = (score.name, json.dumps(score.protocol.to_dict(), sort_keys=True))
            if score.step == loaded.step and key not in seen:
                seen.add(key)
                yield score


def _use(card: Card) -> str:
    run, module = shlex.quote(f"run={card.place}"), card.loaded.module
    opened = f'import ganforge as gf\n\nm = gf.load("{card.place}")\n'
    note = "A seed names its picture: the same seed draws the same one."
    if isinstance(module, RegionTranslator):
        commands, note = [f"ganforge {module.usage.format(run=card.place)}"], CONSENT
        python = ""
    elif isinstance(module, Translator):
        ways = list(module.translators)
        commands = [f"ganforge translate {run} input=FOLDER output=FOLDER direction={ways[0]}"]
        note = f"Directions: {' or '.join(ways)}."
        python = f'{opened}made = m.translate(images, "{ways[0]}")  # uint8 N×C×H×W of any size'
    else:
        commands = [f"ganforge generate {run} n=16 seed=7", f"ganforge explore {run}"]
        python = f"{opened}images = m.sample(16, seed=7)  # uint8 N×C×H×W"
    shell = "\n".join(["pip install ganforge", *commands, f"ganforge evaluate {run}"])
    blocks = [f"```bash\n{shell}\n```"]
    if python:
        blocks.append(f"```python\n{python}\n```")
    return "\n\n".join([*blocks, note])


def _data(config: Any) -> str:
    text = f"`{config.data.name}`"
    if source := config.data.get("source"):
        return f"{text}, read by `{source._target_}`."
    if "a" not in config.data:
        return f"{text}, read by `{config.data._target_}`."
    sides = [f"{side.upper()} by `{config.data[side]._target_}`" for side in "ab"]
    return f"{text}, {' and '.join(sides)}."


def _licence(card: Card) -> str:
    weights, data = (
        card.license or "none was named by whoever exported them",
        card.loaded.config.data,
    )
    terms = (
        f"They were made from `{data.name}`: the terms of that data\nmay restrict what can be done "
        "with them and with their pictures."
    )
    if _drawn(data):
        terms = (
            f"The pictures of `{data.name}` are drawn\nwith DiceBear after Avataaars by Pablo "
            "Stanley (https://avataaars.com),\nwhich is free for personal and commercial use."
        )
    return f"Licence of the weights: {weights}. {terms} The program, ganforge,\nis MIT licensed."


def _drawn(data: Any) -> bool:
    """Whether all pictures are drawn by ganforge in its own style."""
    sides = [data.source] if data.get("source") else [data.get("a"), data.get("b")]
    return all(
        side is not None
        and side.get("_target_") in DRAWN
        and side.get("style", OWN_STYLE) == OWN_STYLE
        for side in sides
    )
