"""What ``ganforge evaluate`` prints."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from ganforge.metrics.protocol import Score
from ganforge.report.tables import BETTER, evaluation_table, protocol_line, score_table
from ganforge.scoring.region import GENERATED, RegionScores
from ganforge.scoring.translation import UNTOUCHED, Translated


def print_scores(console: Console, title: str, scores: Sequence[Score]) -> None:
    """A table and its protocol."""
    console.print(title, style="bold", soft_wrap=True)
    console.print(evaluation_table(scores))
    console.print(protocol_line(scores[0]), style="dim", soft_wrap=True)


def print_notes(
    console: Console, scores: Iterable[Score], left_out: Iterable[str], word: str = "left out"
) -> None:
    """What belongs to the numbers, and what is not there; each once."""
    for note in dict.fromkeys(note for score in scores for note in score.notes):
        console.print(f"note: {note}", soft_wrap=True)
    for note in dict.fromkeys(left_out):
        console.print(f"{word}: {note}", soft_wrap=True)


def print_direction(console: Console, title: str, found: Translated) -> None:
    """Two tables of one direction."""
    if found.scores:
        print_scores(console, title, found.scores)
    if pixels := found.pixels:
        columns = {"translation": pixels}
        if all(score.details for score in pixels):
            columns["untouched input"] = [
                replace(score, value=dict(score.details)[UNTOUCHED]) for score in pixels
            ]
        split = pixels[0].protocol.split
        console.print(f"{title}: pixels, of the {split} split", style="bold", soft_wrap=True)
        console.print(score_table(columns))


def print_region(console: Console, title: str, found: RegionScores) -> None:
    """A row for the model and for each baseline, and what there is beside."""
    first = found.records[0].protocol
    title = f"{title}: inside the region, {first.n_fake} cases of {first.split}"
    console.print(title, style="bold", soft_wrap=True)
    console.print(_region_table(found.tables))
    for part in found.told:
        console.print(part, soft_wrap=isinstance(part, str))


def _region_table(columns: dict[str, list[Score]]) -> Table:
    """A row for the model and for each baseline."""
    table = Table()
    table.add_column("region")
    for score in columns[GENERATED]:
        arrow = BETTER.get(score.metric, "↓")
        table.add_column(f"{score.metric.strip('_')} {arrow}", justify="right")
    for name, scores in columns.items():
        table.add_row(name, *(f"{score.value:.4g}" for score in scores))
    return table
