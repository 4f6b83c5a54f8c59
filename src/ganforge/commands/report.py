"""What a command says at its end: tables of scores, and where everything lies."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.table import Table

from ganforge.callbacks.image_quality import ImageQuality
from ganforge.callbacks.lookup import callback_of
from ganforge.callbacks.score_history import ScoreHistory, history_of
from ganforge.callbacks.theory import TheoryFigure
from ganforge.metrics.comparison import REAL
from ganforge.metrics.protocol import Score
from ganforge.models.translator import Translator
from ganforge.utils.runs import Run, by_number
from ganforge.utils.terminal import command, shown, terminal, typed

SIMILAR = ("psnr", "psnr_pooled", "ssim")
REGION = ("region_psnr", "own_better", "eyes_opened")
HIGHER = ("is", *SIMILAR, *REGION, "precision", "recall", "density", "coverage", "class_accuracy")
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


def of_real_images(scores: Iterable[Score]) -> list[Score]:
    """What as many real images scored against the other ones: the best that there is to reach."""
    told = [(score, dict(score.details).get(REAL)) for score in scores]
    return [replace(score, value=value) for score, value in told if value is not None]


def evaluation_table(scores: Iterable[Score]) -> Table:
    """One row a score: the value, its 95 % interval, and the metric's own spread."""
    table = Table()
    table.add_column("score")
    for name in ("value", "95 % interval", "real images", "spread"):
        table.add_column(name, justify="right")
    for score in scores:
        low_high = "–".join(f"{end:.4g}" for end in score.interval or ())
        # What is smaller than a float's last digits is no spread.
        spread = f"± {score.std:.2g}" if (score.std or 0) > 1e-6 * abs(score.value) else ""
        real = "".join(f"{best.value:.4g}" for best in of_real_images([score]))
        arrow = BETTER.get(score.metric, "↓")
        table.add_row(f"{score.name} {arrow}", f"{score.value:.4g}", low_high, real, spread)
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
    best = "".join(f"; real images in their place: {s.value:.4g}" for s in of_real_images([score]))
    return protocol_line(score) + best


def print_training_report(run: Run, trainer: Trainer, module: LightningModule) -> None:
    """Scores before and after, where the results lie, and what to try next."""
    console = terminal()
    kimg = module.images_seen / 1000
    console.print("\nTrained", style="bold", end=" ")
    console.print(f"{trainer.global_step} steps on {kimg:.1f} thousand images.")
    scores = history_of(trainer)
    if scores and scores.history:
        console.print(score_table(_moments(scores)))
        console.print(f"{protocol_line(scores.newest or scores.history[-1])}\n", style="dim")
    for reason in scores.left_out if scores else ():
        console.print(f"left out: {reason}", soft_wrap=True)
    theory = callback_of(trainer, TheoryFigure)
    if theory:
        console.print(readings_table(theory.readings))
    for what, path in _results(run):
        console.print(f"{what:<17} {shown(path)}", soft_wrap=True)
    console.print("\nNext", style="bold")
    for words in _next_commands(run, trainer, module):
        console.print(f"  {command(*words)}", soft_wrap=True)


def _next_commands(run: Run, trainer: Trainer, module: LightningModule) -> Iterator[Sequence[str]]:
    """What to try with a finished run, as words of a shell."""
    ganforge, folder = typed("ganforge"), shown(run.folder)
    if isinstance(history_of(trainer), ImageQuality):
        yield ganforge, "generate", f"run={folder}", "n=64", "seed=7"
        yield ganforge, "evaluate", f"run={folder}", "n=10000"
    if isinstance(module, Translator):
        yield ganforge, "evaluate", f"run={folder}"
        yield ganforge, *(word.format(run=folder) for word in module.usage.split())
    if any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers):
        yield typed("tensorboard"), "--logdir", folder


def _moments(history: ScoreHistory) -> dict[str, list[Score]]:
    """The scores of the first, the last and the best step that was measured."""
    first, last = history.at(history.history[0].step), history.at(history.history[-1].step)
    columns = {}
    if first[0].step != last[0].step:
        columns["untrained" if first[0].step == 0 else f"step {first[0].step}"] = first
    columns[f"last (step {last[0].step})"] = last
    if history.best and first[0].step != last[0].step:  # none where no score was a finite number
        columns[f"best (step {history.best.step})"] = history.at(history.best.step)
    if real := of_real_images(last):
        columns["real images"] = real
    return columns


def _results(run: Run) -> Iterable[tuple[str, Path]]:
    """What the run left, in the order in which a user looks."""
    pictures = by_number(run.samples.glob("*.png"))
    candidates = [
        ("last pictures", pictures[-1] if pictures else run.samples / "none"),
        ("training as GIF", next(iter(sorted(run.samples.glob("*.gif"))), run.samples / "none")),
        ("best checkpoint", run.checkpoints / "best.ckpt"),
        ("last checkpoint", run.checkpoints / "last.ckpt"),
        ("scores", run.scores),
        ("curves", run.metrics),
        ("health report", run.folder / "health.png"),
        ("diagnosis", run.folder / "diagnosis.jsonl"),
    ]
    return [(what, path) for what, path in candidates if path.exists()]
