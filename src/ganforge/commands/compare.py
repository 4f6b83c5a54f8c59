"""``ganforge compare``: runs side by side, in the order of a score."""

import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ganforge.report.rankings import COLUMNS, _hidden, details_table, ranking_table, shown_measures
from ganforge.report.tables import ranking_line
from ganforge.scoring.page import Pictures, section, write_page
from ganforge.scoring.ranking import common_measure, rank, read_scored
from ganforge.utils.errors import UserError
from ganforge.utils.runs import Run, by_number, find_run
from ganforge.utils.terminal import relative_path, tell, terminal


def compare(config: DictConfig) -> None:
    """Print one table; refuse runs that were measured by different protocols."""
    folders = dict.fromkeys(each for folder in config.runs for each in _runs(folder))
    if len(folders) < 2:
        raise UserError("name at least two runs: ganforge compare outputs/a outputs/b")
    base = Path(os.path.commonpath([folder.absolute().parent for folder in folders]))
    runs = [read_scored(Run(folder), base, wanted(config)) for folder in folders]
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
        pictures = Pictures(len(entries))
        parts = [section(entries, measure.name, protocol, pictures)]
        write_page("Comparison", parts, Path(config.output), pictures)
        console.print(
            f"pictures beside the scores: {relative_path(Path(config.output))}", soft_wrap=True
        )
    for note in _hidden(runs, shown_measures(entries, measure)):
        console.print(note, soft_wrap=True)


def _runs(folder: str) -> list[Path]:
    """The run in a folder, or the runs of the sweep there that were scored."""
    place = Path(folder).expanduser()
    if not (place / "sweep.json").is_file():
        return [find_run(folder).folder]
    jobs = [path.parents[1] for path in by_number(place.resolve().glob("*/.hydra/config.yaml"))]
    scored = [job for job in jobs if Run(job).scores.is_file() or (job / "evaluations").is_dir()]
    if len(scored) < len(jobs):
        missing = f"{len(jobs) - len(scored)} of {len(jobs)} jobs"
        tell(f"{missing} of {relative_path(place)} were never scored")
    return scored


def wanted(config: DictConfig) -> dict[str, Any]:
    """Which protocols the user chose among."""
    return {key: config[key] for key in ("extractor", "checkpoint")}
