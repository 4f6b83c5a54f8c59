"""What a sweep says at its end: the ranked table, the picture, what failed, how to go on."""

from collections import Counter
from collections.abc import Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table

from ganforge.sweeps.manifest import Sweep
from ganforge.sweeps.ranking import Board, Place, boards, rank, short_names, varied
from ganforge.utils.files import atomic_path
from ganforge.utils.runs import by_number
from ganforge.utils.terminal import command, command_name, relative_path, terminal


def report(sweep: Sweep) -> str | None:
    """Print the rankings and write them and their pictures into the sweep's folder.

    There is one for all jobs that may be compared. Returns a sentence where all jobs failed.
    """
    if not sweep.jobs:
        return None
    console, keys = terminal(), varied(sweep.jobs)
    found = [b for b in boards(sweep.jobs, keys) if any(p.values for p in rank(b.jobs, keys))]
    if found:
        lines = _why_apart(found)
        tables = [ranking_table(rank(b.jobs, keys), keys, b.objective) for b in found]
        text = StringIO()
        for where in (console, terminal(file=text, width=200)):
            for part in (*lines, *tables):
                where.print()
                where.print(part, soft_wrap=isinstance(part, str))
        with atomic_path(sweep.folder / "ranking.txt") as temporary:
            temporary.write_text(text.getvalue().lstrip("\n"), encoding="utf-8")
        _draw(sweep, found, keys)
    return _print_end(console, sweep)


def _why_apart(found: Sequence[Board]) -> list[str]:
    """A line that says what keeps the jobs from one table."""
    first, *others = found
    fields = dict.fromkeys(field for other in others for field in first.differences(other))
    if any(other.objective != first.objective for other in others):
        fields = {"objective": None, **fields}
    told = f"Not all jobs can be compared ({', '.join(fields)} differ): one table for each kind."
    return [told] if others else []


def _draw(sweep: Sweep, found: Sequence[Board], keys: Sequence[str]) -> None:
    """A picture for each table, in place of those of earlier reports."""
    for path in sweep.folder.glob("parallel*.png"):
        path.unlink()
    if not keys:
        return
    from ganforge.sweeps.figure import draw

    for number, board in enumerate(found, start=1):
        path = sweep.folder / ("parallel.png" if number == 1 else f"parallel-{number}.png")
        draw(rank(board.jobs, keys), short_names(keys), board.objective, path)


def ranking_table(places: Sequence[Place], keys: Sequence[str], name: str) -> Table:
    """One row a configuration: mean ± standard deviation over its seeds, the best job."""
    table = Table(title=f"Ranked by {name}, less is better", title_justify="left")
    table.add_column("", justify="right")
    for key in short_names(keys):
        table.add_column(key, overflow="fold")
    table.add_column(f"{name} ↓", justify="right", no_wrap=True)
    table.add_column("jobs", justify="right")
    table.add_column("best job", justify="right")
    for number, place in enumerate(places, start=1):
        spread = "" if place.spread is None else f" ± {place.spread:.2g}"
        value = f"{place.mean:.4g}{spread}" if place.values else _states(place)
        best = place.best
        table.add_row(
            str(number) if place.values else "–",
            *(_short(setting) for setting in place.settings),
            value,
            f"{len(place.values)}/{len(place.jobs)}",
            f"{best.number}" if best else "",
        )
    return table


def _short(setting: str) -> str:
    """A number with three digits, anything else as it is."""
    try:
        return f"{float(setting):.3g}"
    except ValueError:
        return setting


def _states(place: Place) -> str:
    """What became of jobs without a value."""
    return ", ".join(dict.fromkeys(job.record.state for job in place.jobs))


def _print_end(console: Console, sweep: Sweep) -> str | None:
    states = Counter(job.record.state for job in sweep.jobs)
    summary = ", ".join(f"{count} {state}" for state, count in states.items())
    console.print(f"{len(sweep.jobs)} jobs: {summary}")
    for job in sweep.jobs:
        if job.record.state in ("failed", "interrupted"):
            line = f"  job {job.number} {job.record.state}: {job.record.told}"
            console.print(line, soft_wrap=True)
    for what, files in (("ranking", "ranking.txt"), ("picture", "*.png")):
        for path in by_number(sweep.folder.glob(files)):
            console.print(f"{what:<8} {relative_path(path)}", soft_wrap=True)
    console.print(f"jobs     {relative_path(sweep.folder / 'sweep.json')}", soft_wrap=True)
    resume = command(
        command_name("ganforge"), "train", f"resume_sweep={relative_path(sweep.folder)}"
    )
    if states["failed"] == len(sweep.jobs):
        return (
            f"all {len(sweep.jobs)} jobs failed, the first one by: {sweep.jobs[0].record.told}; "
            f"fix the cause, then run {resume}"
        )
    if states["done"] < len(sweep.jobs):
        console.print("\nNext", style="bold")
        console.print(f"  {resume}", soft_wrap=True)
    return None
