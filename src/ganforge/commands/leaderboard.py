"""``ganforge leaderboard``: all runs of a folder ranked, on the terminal and as a page."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from ganforge.commands.compare import wanted
from ganforge.metrics.protocol import Measure, Score, describe_differences
from ganforge.report.rankings import ranking_table
from ganforge.report.tables import ranking_line
from ganforge.scoring.page import Pictures, note, section, write_page
from ganforge.scoring.ranking import Scored, boards, common_measure, rank, read_scored
from ganforge.utils.errors import GanforgeError, UserError
from ganforge.utils.runs import Run, by_number
from ganforge.utils.terminal import relative_path, terminal


def leaderboard(config: DictConfig) -> None:
    """Print a table for each protocol, say why they are apart, and write the page."""
    console = terminal()
    runs = list(_scored(config, console))
    if not runs:
        raise UserError(
            f"there are no scored runs below {', '.join(config.runs)}: train one, or "
            "ganforge evaluate run=..."
        )
    groups = boards(runs, config.metric)
    parts, ranked = [], [(m, members, rank(members, m)) for m, members in groups]
    pictures = Pictures(sum(len(entries) for *_, entries in ranked))
    for measure, members, entries in sorted(ranked, key=lambda group: -len(group[1])):
        protocol = ranking_line(members[0].scores[measure])
        console.print(ranking_table(entries, measure))
        console.print(protocol, style="dim", soft_wrap=True)
        parts.append(section(entries, measure.name, protocol, pictures))
    for line in _apart(groups):
        console.print(line, soft_wrap=True)
        parts.append(note(line))
    output = Path(config.output or Path(config.runs[0]) / "leaderboard.html")
    write_page("Leaderboard", parts, output, pictures)
    console.print(f"pictures beside the scores: {relative_path(output)}", soft_wrap=True)


def _scored(config: DictConfig, console: Console) -> Iterator[Scored]:
    """Every run below the folders that has the wanted score; a word on those left out."""
    for folder in config.runs:
        if not Path(folder).expanduser().is_dir():
            raise UserError(f"{folder} is not a folder: ganforge leaderboard outputs")
        for path in by_number(Path(folder).expanduser().rglob(".hydra/config.yaml")):
            run = Run(path.parents[1])
            if run.folder.is_symlink():
                continue  # outputs/latest
            try:
                scored = read_scored(run, Path(folder).expanduser(), wanted(config))
                common_measure([scored], config.metric)
                scored.recipe  # noqa: B018 - reads the configuration, which may be damaged
            except GanforgeError as error:
                console.print(f"left out: {error}", soft_wrap=True)
                continue
            yield scored


def _apart(groups: Sequence[tuple[Measure, list[Scored]]]) -> Iterator[str]:
    """Why tables are not one: the first against each other one."""
    (measure, members), *others = sorted(groups, key=lambda group: -len(group[1]))
    first = members[0].scores[measure]
    for other, runs in others:
        why = _difference(first, runs[0].scores[other])
        yield f"{measure.name} and {other.name} are not ranked together: {why}"


def _difference(first: Score, other: Score) -> str:
    if first.metric != other.metric:
        return "they are different metrics"
    return describe_differences(first.protocol.differences(other.protocol))
