"""Rankings of runs as tables for the terminal."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from ganforge.metrics.protocol import Measure, describe_differences
from ganforge.report.tables import BETTER
from ganforge.scoring.ranking import Entry, Scored, cell

COLUMNS = 3  # scores beside each other; more do not fit a terminal


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
                what = describe_differences(differences)
                yield f"{measure.name} is shared by another protocol, too: {what}"


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
