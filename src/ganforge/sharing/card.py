"""The README of a bundle: what the model is, how it was measured, how to draw from it."""

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Card:
    """What a model card is written from; ``pictures`` maps files to what they show."""

    loaded: LoadedRun
    name: str
    pictures: dict[str, str]
    license: str | None
    folder: Path


def model_card(card: Card) -> str:
    """Markdown, with every score beside its protocol."""
    pictures = [f"![{shows}]({file})\n\n{shows}.\n" for file, shows in card.pictures.items()]
    parts = [
        f"# {card.name}\n",
        f"{_summary(card.loaded)}\n",
        *pictures,
        f"## Scores\n\n{_scores(card.loaded)}\n",
        f"## Use\n\n{_use(card)}\n",
        f"## Training data\n\n{_data(card.loaded.config)}\n",
        f"## Licence\n\n{_licence(card)}\n",
        "## Files\n\n`model.safetensors` holds the weights, `config.json` what they belong to. "
        "Neither can execute\nanything: ganforge refuses a configuration that names other classes "
        f"than its own and `torch.nn`.\nWritten by ganforge {__version__}.\n",
    ]
    return "\n".join(parts)


def _summary(loaded: LoadedRun) -> str:
    module, config = loaded.module, loaded.config
    shape = "×".join(map(str, config.data.shape))
    rows = [
        f"| {task} | `{type(getattr(module, name)).__name__}`, {_count(module, name)} parameters |"
        for task, name in module.generators().items()
    ]
    what = f"`{type(module).__name__}` trained with ganforge on `{config.data.name}`"
    weights = "averaged (EMA)" if loaded.ema else "last, not averaged"
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
    run = shlex.quote(f"run={card.folder}")
    if isinstance(card.loaded.module, RegionTranslator):
        commands = [f"ganforge {card.loaded.module.usage.format(run=card.folder)}"]
        note = CONSENT
    elif isinstance(card.loaded.module, Translator):
        ways = " or ".join(card.loaded.module.translators)
        commands = [
            f"ganforge translate {run} input=FOLDER output=FOLDER "
            f"direction={next(iter(card.loaded.module.translators))}"
        ]
        note = f"Directions: {ways}."
    else:
        commands = [f"ganforge generate {run} n=16 seed=7", f"ganforge explore {run}"]
        note = "A seed names its picture: the same seed draws the same one."
    block = "\n".join([*commands, f"ganforge evaluate {run}"])
    return f"```bash\n{block}\n```\n\n{note}"


def _data(config: Any) -> str:
    text = f"`{config.data.name}`"
    if source := config.data.get("source"):
        return f"{text}, read by `{source._target_}`."
    if "a" not in config.data:
        return f"{text}, read by `{config.data._target_}`."
    sides = [f"{side.upper()} by `{config.data[side]._target_}`" for side in "ab"]
    return f"{text}, {' and '.join(sides)}."


def _licence(card: Card) -> str:
    weights = card.license or "none was named by whoever exported them"
    return (
        f"Licence of the weights: {weights}. They were made from `{card.loaded.config.data.name}`: "
        "the terms of that data\nmay restrict what can be done with them and with their pictures. "
        "The program, ganforge, is MIT licensed."
    )
