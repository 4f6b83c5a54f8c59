"""What a sweep says at its end: the ranked table, the picture, what failed, how to go on."""

from collections import Counter
from io import StringIO

from rich.console import Console
from rich.table import Table

from ganforge.sweeps.manifest import Sweep
from ganforge.sweeps.ranking import Place, objective, rank, short_names, varied
from ganforge.utils.files import atomic_path
from ganforge.utils.terminal import shown, typed


def report(sweep: Sweep) -> str | None:
    """Print the ranking and write it and its picture into the sweep's folder.

    Returns a sentence where all jobs failed.
    """
    if not sweep.jobs:
        return None
    console, keys, name = Console(), varied(sweep.jobs), objective(sweep.jobs)
    places = rank(sweep.jobs, keys)
    if any(place.values for place in places):
        table = ranking_table(places, keys, name)
        console.print()
        console.print(table)
        text = StringIO()
        Console(file=text, width=200).print(table)
        with atomic_path(sweep.folder / "ranking.txt") as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")
        if keys:
            from ganforge.sweeps.figure import draw

            draw(places, short_names(keys), name, sweep.folder / "parallel.png")
    return _print_end(console, sweep)


def ranking_table(places: list[Place], keys: list[str], name: str) -> Table:
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
    console.print(f"{len(sweep.jobs)} jobs: {summary}", highlight=False)
    for job in sweep.jobs:
        if job.record.state in ("failed", "interrupted"):
            line = f"  job {job.number} {job.record.state}: {job.record.reason}"
            console.print(f"{line} ({job.record.log})", soft_wrap=True, markup=False)
    for what, file in (("ranking", "ranking.txt"), ("picture", "parallel.png")):
        if (sweep.folder / file).is_file():
            console.print(f"{what:<8} {shown(sweep.folder / file)}", soft_wrap=True)
    console.print(f"jobs     {shown(sweep.folder / 'sweep.json')}", soft_wrap=True)
    resume = f"{typed('ganforge')} train resume_sweep={shown(sweep.folder)}"
    if states["failed"] == len(sweep.jobs):
        first = sweep.jobs[0].record
        return (
            f"all {len(sweep.jobs)} jobs failed, the first one by: {first.reason} ({first.log}); "
            f"mend the cause, then run {resume}"
        )
    if states["done"] < len(sweep.jobs):
        console.print(f"\n[bold]Next[/]\n  {resume}", soft_wrap=True, highlight=False)
    return None
