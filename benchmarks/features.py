"""Features for FID: ganforge's extraction beside a bare forward loop over the same images."""

import argparse
import os
import tempfile
from time import perf_counter
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.children import run_worker
from benchmarks.noise import noise_images
from benchmarks.results import Spread, circumstances, today
from benchmarks.settings import Settings, compose_training, pick_device
from ganforge.metrics.cnn import CNNFeatures
from ganforge.metrics.features import extract

BATCH = 256


def bare_loop(extractor: CNNFeatures, images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """What the network costs and nothing else: batches through it, features kept."""
    kept = []
    with torch.inference_mode():
        for batch in images.split(BATCH):
            kept.append(extractor.network.features(extractor.prepare(batch.to(device))).cpu())
    return torch.cat(kept)


def measure(settings: Settings) -> dict[str, Any]:
    """Seconds of both, in turn; the images are those of ``settings.steps`` in number."""
    device = pick_device(compose_training(settings).trainer.accelerator)
    extractor = CNNFeatures("avatars").to(device)
    images = noise_images(settings.steps, 3, settings.size)
    bare_loop(extractor, images[:BATCH], device)
    seconds: dict[str, list[float]] = {"reference": [], "ganforge": []}
    for _ in range(settings.rounds):
        start = perf_counter()
        expected = bare_loop(extractor, images, device)
        middle = perf_counter()
        found = extract(extractor, images.split(BATCH), device, BATCH).features
        seconds["reference"].append(middle - start)
        seconds["ganforge"].append(perf_counter() - middle)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    return {"seconds": seconds, "load_average": os.getloadavg()[0]}


def run(case: str, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="ganforge-bench-") as folder:
        settings = Settings(folder, steps=options.images, rounds=options.rounds)
        with console.status(case):
            machine = run_worker("describe", settings)
            measured = run_worker("features", settings)
    seconds = measured["seconds"]
    table = Table(title=f"features of {options.images} images, 64×64", title_justify="left")
    for name in ("loop", "img/s", "× bare"):
        table.add_column(name, justify="left" if name == "loop" else "right")
    ratios = [a / b for a, b in zip(seconds["reference"], seconds["ganforge"], strict=True)]
    for name, label in (("reference", "bare forward loop"), ("ganforge", "ganforge")):
        speed = Spread.of([options.images / s for s in seconds[name]])
        ratio = Spread.of(ratios).text(".2f") if name == "ganforge" else "1.00"
        table.add_row(label, speed.text(".0f"), ratio)
    console.print(table)
    console.print(circumstances(machine), highlight=False)
    summary = {"ratio": vars(Spread.of(ratios))}
    return {"machine": machine, **measured, "summary": summary, "date": today()}
