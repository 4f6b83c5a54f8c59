"""``ganforge compare``: runs side by side, in the order of a score."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.table import Table

from ganforge.commands.ranking import Entry, Scored, cell, common_measure, rank, read_scored
from ganforge.commands.ranking_page import section, write_page
from ganforge.commands.report import BETTER, ranking_line, shown
from ganforge.metrics.protocol import Measure, told
from ganforge.utils.errors import UserError
from ganforge.utils.runs import find_run
from ganforge.utils.terminal import terminal

COLUMNS = 3  # scores beside each other; more do not fit a terminal


def compare(config: DictConfig) -> None:
    """Print one table; refuse runs that were measured by different protocols."""
    folders = dict.fromkeys(find_run(folder).folder for folder in config.runs)
    if len(folders) < 2:
        raise UserError("name at least two runs: ganforge compare outputs/a outputs/b")
    base = Path(os.path.commonpath([folder.absolute().parent for folder in folders]))
    runs = [read_scored(find_run(folder), base, wanted(config)) for folder in folders]
    measure = common_measure(runs, config.metric)
    entries = rank(runs, measure)
    console = terminal()
    console.print(ranking_table(entries, measure))
    console.print(ranking_line(runs[0].scores[measure]), style="dim", soft_wrap=True)
    if len(entries) <= COLUMNS < len(shown_measures(entries, measure)):
        console.print(details_table(entries, measure))
    for entry in entries:
        if entry.picture:
            console.print(f"samples of {entry.name}: {shown(entry.picture)}", soft_wrap=True)
    if config.output is not None:
        protocol = ranking_line(runs[0].scores[measure])
        write_page("Comparison", [section(entries, measure.name, protocol)], Path(config.output))
        console.print(f"pictures beside the scores: {shown(Path(config.output))}", soft_wrap=True)
    for note in _hidden(runs, shown_measures(entries, measure)):
        console.print(note, soft_wrap=True)


def wanted(config: DictConfig) -> dict[str, Any]:
    """Which protocols the user chose among."""
    return {key: config[key] for key in ("extractor", "checkpoint")}


def shown_measures(entries: Sequence[Entry], first: Measure) -> list[Measure]:
    """Scores that all runs have by one protocol, one a name, the ranking one first."""
    runs = [run for entry in entries for run in entry.runs]
    chosen = {first.name: first}
    for measure in runs[0].scores:
        if all(measure in run.scores for run in runs):
            chosen.setdefault(measure.name, measure)
    return list(chosen.values())


def _hidden(runs: Sequence[Scored], chosen: Sequence[Measure]) -> Iterator[str]:
    """A line for each score that all runs have and that is not shown."""
    names = {measure.name: measure for measure in chosen}
    for name in runs[0].names:
        if name not in names and all(name in run.by_name for run in runs):
            first, *others = (run.by_name[name].protocol for run in runs)
            fields = sorted({field for other in others for field in first.differences(other)})
            yield f"{name} is not shown: it was measured differently ({', '.join(fields)})"
    for measure in runs[0].scores:
        if measure.name in names and all(measure in run.scores for run in runs):
            differences = measure.protocol.differences(names[measure.name].protocol)
            if differences:
                yield f"{measure.name} is shared by another protocol, too: {told(differences)}"


def ranking_table(entries: Sequence[Entry], measure: Measure) -> Table:
    """One row a recipe: mean ± standard deviation over its runs, or the 95 % interval of one."""
    measures = shown_measures(entries, measure)[:COLUMNS]
    table = Table()
    table.add_column("rank", justify="right")
    table.add_column("runs", overflow="fold")
    table.add_column("seeds", overflow="fold")
    for one in measures:
        table.add_column(heading(entries, one), justify="right")
    for place, entry in enumerate(entries, start=1):
        cells = [cell(entry.by(one)) for one in measures]
        seeds = sorted(str(run.seed) for run in entry.runs)  # one that was run twice stands twice
        table.add_row(str(place), entry.name, ", ".join(seeds), *cells)
    return table


def details_table(entries: Sequence[Entry], measure: Measure) -> Table:
    """All common scores, one row each; the recipes are columns."""
    table = Table()
    table.add_column("score")
    for entry in entries:
        table.add_column(entry.name, justify="right", overflow="fold")
    for one in shown_measures(entries, measure):
        table.add_row(heading(entries, one), *(cell(entry.by(one)) for entry in entries))
    return table


def heading(entries: Sequence[Entry], measure: Measure) -> str:
    """A score's name and which way is better."""
    return f"{measure.name} {BETTER.get(entries[0].runs[0].scores[measure].metric, '↓')}"
