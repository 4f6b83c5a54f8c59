"""Scores as tables for the terminal."""

from collections.abc import Iterable
from dataclasses import replace

from rich.table import Table

from ganforge.metrics.protocol import NOISE, REAL, Score

SIMILAR = ("psnr", "psnr_pooled", "ssim")
LIPS = tuple(
    f"lips_{what}_{voice}_"
    for what in ("classes", "opening", "width", "shut")
    for voice in ("known", "new")
)
REGION = ("region_psnr", "own_better", "eyes_opened", *LIPS)
HIGHER = ("is", *SIMILAR, *REGION, "precision", "recall", "density", "coverage", "class_accuracy",
          "legibility")  # fmt: skip
BETTER = {**dict.fromkeys(HIGHER, "↑"), "memorisation": "½"}


def score_table(columns: dict[str, Iterable[Score]]) -> Table:
    """One row a score, one column a moment or model; a dash where a column has no such score."""
    table = Table()
    table.add_column("score")
    for name in columns:
        table.add_column(name, justify="right")
    found = [{score.name: score for score in scores} for scores in columns.values()]
    for name, score in {name: score for scores in found for name, score in scores.items()}.items():
        cells = (f"{each[name].value:.4g}" if name in each else "–" for each in found)
        table.add_row(f"{name} {BETTER.get(score.metric, '↓')}", *cells)
    return table


def of_others(scores: Iterable[Score], whose: str = REAL) -> list[Score]:
    """What others scored in the place of generated images, by the same protocol.

    As many real images score the best that there is to reach, uniform noise what nobody wants.
    """
    told = [(score, dict(score.details).get(whose)) for score in scores]
    return [replace(score, value=value) for score, value in told if value is not None]


def evaluation_table(scores: Iterable[Score]) -> Table:
    """One row a score: the value, its 95 % interval, what others score, and its own spread."""
    table = Table()
    table.add_column("score")
    for name in ("value", "95 % interval", "real", "noise", "spread"):
        table.add_column(name, justify="right")
    for score in scores:
        low_high = "–".join(f"{end:.4g}" for end in score.interval or ())
        # What is smaller than a float's last digits is no spread.
        spread = f"± {score.std:.2g}" if (score.std or 0) > 1e-6 * abs(score.value) else ""
        real, noise = (
            "".join(f"{other.value:.4g}" for other in of_others([score], whose))
            for whose in (REAL, NOISE)
        )
        arrow = BETTER.get(score.metric, "↓")
        table.add_row(f"{score.name} {arrow}", f"{score.value:.4g}", low_high, real, noise, spread)
    return table


def readings_table(readings: dict[str, float]) -> Table:
    """What a theory figure measured last."""
    table = Table(title="At the end", title_justify="left", title_style="bold")
    table.add_column("reading")
    table.add_column("value", justify="right")
    for name, value in readings.items():
        table.add_row(name, f"{value:.4g}")
    return table


def protocol_line(score: Score) -> str:
    """The protocol in a sentence."""
    p = score.protocol
    weights = {True: "averaged weights; ", False: "last weights; ", None: ""}[p.ema]
    real = f", {p.n_real} real images of {p.split} ({p.data_hash[:8]})" if p.split else ""
    seen = f"{p.extractor} features ({p.sha256[:8]}), {p.resize}" if p.sha256 else p.extractor
    return f"{seen}; {p.n_fake} generated{real}; {weights}seed {p.seed}"


def ranking_line(score: Score) -> str:
    """The protocol, and where the ranking ends: real images by the same protocol."""
    line = protocol_line(score)
    for words, whose in (("real images", REAL), ("noise", NOISE)):
        line += "".join(
            f"; {words} in their place: {s.value:.4g}" for s in of_others([score], whose)
        )
    return line
