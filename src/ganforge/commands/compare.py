"""``ganforge compare``: runs side by side, in the order of a score."""

from collections.abc import Sequence

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from ganforge.commands.ranking import Entry, Scored, common_score, rank, read_scored
from ganforge.commands.report import BETTER, protocol_line
from ganforge.utils.errors import UserError
from ganforge.utils.runs import find_run

COLUMNS = 3  # scores beside each other; more do not fit a terminal


def compare(config: DictConfig) -> None:
    """Print one table; refuse runs that were measured by different protocols."""
    folders = dict.fromkeys(find_run(folder).folder for folder in config.runs)
    runs = [read_scored(find_run(folder)) for folder in folders]
    if len(runs) < 2:
        raise UserError("name at least two runs: ganforge compare outputs/a outputs/b")
    name = common_score(runs, config.metric)
    entries = rank(runs, name)
    console = Console()
    console.print(ranking_table(entries, name))
    console.print(f"[dim]{protocol_line(runs[0].scores[name])}[/]", soft_wrap=True)
    if len(entries) <= COLUMNS < len(shown_names(entries, name)):
        console.print(details_table(entries, name))
    for note in _unlike(runs, shared_names(entries, name)):
        console.print(note, soft_wrap=True, markup=False)


def shared_names(entries: Sequence[Entry], first: str) -> list[str]:
    """Scores that all runs have, the ranking one first."""
    runs = [run for entry in entries for run in entry.runs]
    names = [name for name in runs[0].scores if all(name in run.scores for run in runs)]
    return [first, *(name for name in names if name != first)]


def _unlike(runs: Sequence[Scored], names: Sequence[str]) -> list[str]:
    """A line for each score that is shown but was not measured alike."""
    lines = []
    for name in names[1:]:
        first, *others = (run.scores[name].protocol for run in runs)
        fields = sorted({field for other in others for field in first.differences(other)})
        if fields:
            lines.append(f"{name} is not shown: it was measured differently ({', '.join(fields)})")
    return lines


def shown_names(entries: Sequence[Entry], first: str) -> list[str]:
    """Scores that all runs have and that were measured alike."""
    runs = [run for entry in entries for run in entry.runs]
    names = shared_names(entries, first)
    hidden = {line.split()[0] for line in _unlike(runs, names)}
    return [name for name in names if name not in hidden]


def ranking_table(entries: Sequence[Entry], name: str) -> Table:
    """One row a recipe: mean ± standard deviation over its runs, or the 95 % interval of one."""
    names = shown_names(entries, name)[:COLUMNS]
    table = Table()
    table.add_column("rank", justify="right")
    table.add_column("runs", overflow="fold")
    table.add_column("seeds", justify="right")
    for shown in names:
        table.add_column(heading(entries, shown), justify="right")
    for place, entry in enumerate(entries, start=1):
        cells = [cell(entry.by(shown)) for shown in names]
        table.add_row(str(place), entry.name, str(len(entry.runs)), *cells)
    return table


def details_table(entries: Sequence[Entry], name: str) -> Table:
    """All common scores, one row each; the recipes are columns."""
    table = Table()
    table.add_column("score")
    for entry in entries:
        table.add_column(entry.name, justify="right", overflow="fold")
    for shown in shown_names(entries, name):
        table.add_row(heading(entries, shown), *(cell(entry.by(shown)) for entry in entries))
    return table


def heading(entries: Sequence[Entry], name: str) -> str:
    """A score's name and which way is better."""
    return f"{name} {BETTER.get(entries[0].runs[0].scores[name].metric, '↓')}"


def cell(entry: Entry) -> str:
    """``mean ± std`` over runs; of a single run its value and interval."""
    if entry.std is not None:
        return f"{entry.mean:.4g} ± {entry.std:.2g}"
    interval = entry.scores[0].interval
    told = f" ({interval[0]:.4g}–{interval[1]:.4g})" if interval else ""
    return f"{entry.mean:.4g}{told}"
