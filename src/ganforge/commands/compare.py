"""``ganforge compare``: runs side by side, in the order of a score."""

import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ganforge.report.rankings import COLUMNS, _hidden, details_table, ranking_table, shown_measures
from ganforge.report.tables import ranking_line
from ganforge.scoring.page import section, write_page
from ganforge.scoring.ranking import common_measure, rank, read_scored
from ganforge.utils.errors import UserError
from ganforge.utils.runs import find_run
from ganforge.utils.terminal import relative_path, terminal


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
            console.print(
                f"samples of {entry.name}: {relative_path(entry.picture)}", soft_wrap=True
            )
    if config.output is not None:
        protocol = ranking_line(runs[0].scores[measure])
        write_page("Comparison", [section(entries, measure.name, protocol)], Path(config.output))
        console.print(
            f"pictures beside the scores: {relative_path(Path(config.output))}", soft_wrap=True
        )
    for note in _hidden(runs, shown_measures(entries, measure)):
        console.print(note, soft_wrap=True)


def wanted(config: DictConfig) -> dict[str, Any]:
    """Which protocols the user chose among."""
    return {key: config[key] for key in ("extractor", "checkpoint")}
