"""Loading alone: batches of the memory-mapped set and of a stream, beside PIL in a DataLoader."""

import argparse
import os
import tempfile
from collections.abc import Iterable
from itertools import islice
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from benchmarks.bare import BareLoop
from benchmarks.children import run_worker
from benchmarks.reference import image_files
from benchmarks.results import Spread, circumstances, today
from benchmarks.settings import Settings, compose_training
from ganforge.config.build import build
from ganforge.data.packing import pack
from ganforge.data.streaming import StreamingDataModule

EATING_STEPS = 20
LABELS = {
    "reference": "PIL transforms in a DataLoader",
    "ganforge": "memory-mapped set",
    "stream": "packed stream",
    "eaten": "eaten by model=gan",
}


def seconds_of(batches: Iterable[Any], count: int) -> float:
    """Seconds to draw ``count`` batches, after one that opens files."""
    rest = iter(batches)
    next(rest)
    start = perf_counter()
    drawn = sum(1 for _ in islice(rest, count))
    if drawn < count:
        raise ValueError(f"{drawn} batches instead of {count}: give more --images")
    return perf_counter() - start


def normalised(data: Any, loader: Iterable[Any]) -> Iterable[Any]:
    """The batches as a model gets them: float ``[-1, 1]``, mirrored where they drew it."""
    return (data.on_after_batch_transfer(batch, 0) for batch in loader)


def eaten(settings: Settings) -> float:
    """Images a second that the fastest model trains on, without waiting for data."""
    loop = BareLoop(settings)
    batch = loop.next_images()
    loop.next_images = lambda: batch
    loop.step()
    start = perf_counter()
    for _ in range(EATING_STEPS):
        loop.step()
    return EATING_STEPS * settings.batch_size / (perf_counter() - start)


def measure(settings: Settings) -> dict[str, Any]:
    """Images a second of every way, in turn."""
    config = compose_training(settings)
    data, count = build(config.data), settings.steps
    data.setup()
    folder = settings.images.with_name("packed")
    pack(data.source, settings.size, 3, folder, chunk_mb=4)
    shape = (3, settings.size, settings.size)
    stream = StreamingDataModule(
        "stream", str(folder), shape, settings.folder, 3, settings.size, settings.batch_size
    )
    loaders = {
        "reference": DataLoader(image_files(settings), settings.batch_size, shuffle=True),
        "ganforge": normalised(data, data.train_dataloader()),
        "stream": normalised(stream, stream.train_dataloader()),
    }
    speeds: dict[str, list[float]] = {name: [] for name in LABELS}
    for _ in range(settings.rounds):
        loaders["ganforge"] = normalised(data, data.train_dataloader())
        loaders["stream"] = normalised(stream, stream.train_dataloader())
        for name, loader in loaders.items():
            speeds[name].append(count * settings.batch_size / seconds_of(loader, count))
        speeds["eaten"].append(eaten(settings))
    return {"images_per_second": speeds, "load_average": os.getloadavg()[0]}


def run(case: str, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measure and print."""
    size, batch = 32, options.batch_size
    steps = max(2, options.images // batch // 4)
    with tempfile.TemporaryDirectory(prefix="ganforge-bench-") as folder:
        settings = Settings(
            folder, size=size, batch_size=batch, steps=steps, rounds=options.rounds,
            model="gan",
            overrides=(f"data.source.train_count={(steps + 2) * batch}", *options.overrides),
        )  # fmt: skip
        with console.status(case):
            machine = run_worker("describe", settings)
            run_worker("images", settings)
            measured = run_worker("loading", settings)
    speeds = measured["images_per_second"]
    table = Table(title=f"loading alone, {size}×{size}, batch {batch}", title_justify="left")
    table.add_column("loader")
    for name in ("img/s", "× eaten"):
        table.add_column(name, justify="right")
    ratios = {}
    for name, label in LABELS.items():
        ratios[name] = Spread.of(
            [a / b for a, b in zip(speeds[name], speeds["eaten"], strict=True)]
        )
        table.add_row(label, Spread.of(speeds[name]).text(".0f"), ratios[name].text(".1f"))
    console.print(table)
    console.print(circumstances(machine), highlight=False)
    summary = {f"{name}_over_eaten": vars(ratio) for name, ratio in ratios.items()}
    return {"machine": machine, **measured, "summary": summary, "date": today()}
