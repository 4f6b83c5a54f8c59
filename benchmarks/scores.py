"""What scores cost: seconds of FID from features, and memory of 50,000 against 50,000 images.

``python -m benchmarks.scores`` prints both; ``--images 2000`` is a quick look. The network is a
stand-in of Inception's dimensions that costs next to nothing: one random matrix on 8×8 pixels.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from ganforge.metrics.comparison import Comparison
from ganforge.metrics.features import Features
from ganforge.metrics.scorer import Origin, Scorer
from ganforge.metrics.scores import FID, KID, InceptionScore
from ganforge.metrics.statistics import ImageSet, RealFeatures

DIM, CLASSES, SIDE, BATCH = 2048, 1008, 8, 250
UNIT = 1024 if sys.platform == "linux" else 1  # of ru_maxrss, in bytes


class StandIn:
    """As many features and logits as Inception has, linear in 8×8 pixels."""

    name, sha256, size, resize, dim = "stand-in", "0" * 64, SIDE, "none", DIM

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(0)
        self.project = torch.randn(3 * SIDE * SIDE, DIM, generator=rng)
        self.classify = torch.randn(DIM, CLASSES, generator=rng) / DIM**0.5

    def to(self, device: torch.device | str) -> Self:  # noqa: ARG002 - it stays on the CPU
        return self

    def __call__(self, images: Tensor) -> Features:
        features = (images.flatten(1).float() / 127.5 - 1) @ self.project
        features = features.relu_()
        return Features(features, features @ self.classify)


def noise(count: int, seed: int) -> Iterator[Callable[[], Tensor]]:
    """Functions that draw a batch of images each, so that no set is ever in memory."""

    def draw(number: int, size: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed * 1_000_003 + number)
        return torch.randint(256, (size, 3, SIDE, SIDE), generator=rng, dtype=torch.uint8)

    for number, start in enumerate(range(0, count, BATCH)):
        yield partial(draw, number, min(BATCH, count - start))


def score(count: int) -> float:
    """FID, KID and Inception Score of two sets with an empty cache; the peak in bytes."""
    fake, real = (
        ImageSet(partial(noise, count, seed), count, str(seed), "noise") for seed in (1, 2)
    )
    with tempfile.TemporaryDirectory(prefix="ganforge-bench-") as folder:
        metrics = (FID(), KID(), InceptionScore())
        Scorer(StandIn(), real, Path(folder), metrics).attempt(fake, Origin())
    return peak()


def peak() -> float:
    """The most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def fid_seconds(count: int, rounds: int = 3) -> list[float]:
    """Seconds of the clock of FID from features, the real side's moments known."""
    rng = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(count, DIM, generator=rng) for _ in range(2))
    known = RealFeatures(Features(real, None))
    known.moments.factor  # noqa: B018 - kept, as between the scores of a training
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        FID()(Comparison(known, Features(fake, None)))
        seconds.append(time.perf_counter() - start)
    return seconds


def in_child(task: str, count: int) -> dict[str, float]:
    """The memory of a task in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.scores", "--task", task, "--images", str(count)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the figures of docs/results.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000, help="on each side, for memory")
    parser.add_argument("--task", choices=("libraries", "score"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        told = score(options.images) if options.task == "score" else peak()
        print(json.dumps({"peak": told}))
        return
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for count in (2000, 10_000):
        seconds = ", ".join(f"{s:.2f}" for s in fid_seconds(count))
        print(f"FID of {count:,} images at {DIM:,} dimensions: {seconds} s")
    total, libraries = (in_child(t, options.images)["peak"] / 1e9 for t in ("score", "libraries"))
    print(
        f"FID, KID and Inception Score of {options.images:,} against {options.images:,} images "
        f"({DIM:,} features, {CLASSES:,} logits, empty cache): peak {total:.2f} GB, of which "
        f"{libraries:.2f} GB before the first image"
    )


if __name__ == "__main__":
    main()
