"""What a training says at its end."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from ganforge.callbacks.image_quality import ImageQuality
from ganforge.callbacks.lookup import callback_of
from ganforge.callbacks.score_history import ScoreHistory, history_of
from ganforge.callbacks.theory import TheoryFigure
from ganforge.metrics.protocol import NOISE, REAL, Score
from ganforge.models.translator import Translator
from ganforge.report.tables import of_others, protocol_line, readings_table, score_table
from ganforge.report.verdict import going_on, verdict
from ganforge.utils.runs import Run, by_number
from ganforge.utils.terminal import command, command_name, relative_path, terminal


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
        if sentence := verdict(scores.monitored):
            console.print(f"{sentence}\n", style="bold", soft_wrap=True)
    for reason in scores.left_out if scores else ():
        console.print(f"left out: {reason}", soft_wrap=True)
    theory = callback_of(trainer, TheoryFigure)
    if theory:
        console.print(readings_table(theory.readings))
    for what, path in _results(run):
        console.print(f"{what:<17} {relative_path(path)}", soft_wrap=True)
    console.print("\nNext", style="bold")
    for words in _next_commands(run, trainer, module):
        console.print(f"  {command(*words)}", soft_wrap=True)


def _next_commands(run: Run, trainer: Trainer, module: LightningModule) -> Iterator[Sequence[str]]:
    """What to try with a finished run, as words of a shell."""
    ganforge, folder = command_name("ganforge"), relative_path(run.folder)
    if run.page.exists():
        yield command_name("python"), "-m", "webbrowser", relative_path(run.page)
    if isinstance(history_of(trainer), ImageQuality):
        yield ganforge, "generate", f"run={folder}", "n=64", "seed=7"
        yield ganforge, "evaluate", f"run={folder}", "n=10000"
    if (scores := history_of(trainer)) and (more := going_on(scores.monitored, folder)):
        yield ganforge, *more
    if isinstance(module, Translator):
        yield ganforge, "evaluate", f"run={folder}"
        yield ganforge, *(word.format(run=folder) for word in module.usage.split())
    if any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers):
        yield command_name("tensorboard"), "--logdir", folder


def _moments(history: ScoreHistory) -> dict[str, list[Score]]:
    """The scores of the first, the last and the best step that was measured."""
    first, last = history.at(history.history[0].step), history.at(history.history[-1].step)
    columns = {}
    if first[0].step != last[0].step:
        columns["untrained" if first[0].step == 0 else f"step {first[0].step}"] = first
    columns[f"last (step {last[0].step})"] = last
    if history.best and first[0].step != last[0].step:  # none where no score was a finite number
        columns[f"best (step {history.best.step})"] = history.at(history.best.step)
    for name, whose in (("real images", REAL), ("noise", NOISE)):
        if others := of_others(last, whose):
            columns[name] = others
    return columns


def _results(run: Run) -> Iterable[tuple[str, Path]]:
    """What the run left, in the order in which a user looks."""
    pictures = by_number(run.samples.glob("*.png"))
    candidates = [
        ("report", run.page),
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
