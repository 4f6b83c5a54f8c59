"""Do 95 % intervals hold the truth in 95 of 100 samples? ``python -m benchmarks.intervals``.

Features are drawn anew from known distributions, and every metric that prints an interval is asked
for it. The truth is the mean of the metric over all samples (0 of KID, ½ of memorisation between
equal distributions). Generated images are drawn anew; real ones too where the interval counts them.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganforge.metrics.class_scores import ClassFID
from ganforge.metrics.comparison import Comparison, Metric
from ganforge.metrics.coverage import Density, Memorisation, Precision
from ganforge.metrics.features import Features
from ganforge.metrics.scores import FID, KID, FIDInfinity, InceptionScore
from ganforge.metrics.statistics import ImageSet, RealFeatures

CLASSES = 3
OF_BOTH = ("kid", "memorisation")  # their intervals count the noise of both samples


@dataclass(frozen=True)
class World:
    """Gaussian features: real ones N(0, I), generated ones N(shift, scale² I) or tied to those."""

    name: str
    dim: int = 16
    n_fake: int = 400
    n_real: int = 2000
    shift: float = 0.2
    scale: float = 0.9
    tied: bool = False

    def draw(self, count: int, seed: int) -> Tensor:
        """Standard normal features."""
        return torch.randn(count, self.dim, generator=torch.Generator().manual_seed(seed))

    def reals(self, seed: int, count: int) -> RealFeatures:
        """Real features with classes."""
        labels = torch.arange(count) % CLASSES
        images = ImageSet(list, count, "", "train", labels=lambda: labels)
        return RealFeatures(Features(self.draw(count, seed), None, labels), images=images)

    def sides(self, number: int) -> dict[bool, Comparison]:
        """A sample; of the key True with real images of its own."""
        count, seed = self.n_fake, 10_000 * number + 10_000
        if self.tied:
            real = self.reals(seed, count)
            noise = self.draw(count, seed + 1)
            made = Features(real.features.features * self.scale + self.shift * noise, None)
            return dict.fromkeys((False, True), Comparison(real, made, tied=True))
        x = self.draw(count, seed + 1) * self.scale + self.shift
        logits = x @ torch.randn(self.dim, 10, generator=torch.Generator().manual_seed(3))
        made = Features(x, logits, torch.arange(count) % CLASSES)
        training, held_out = self.reals(1, self.n_real), self.reals(seed + 2, count)
        return {
            anew: Comparison(
                self.reals(seed + 3 if anew else 2, self.n_real), made, training, held_out
            )
            for anew in (False, True)
        }

    @property
    def metrics(self) -> Sequence[Metric]:
        """All that print an interval here."""
        basic = [FID(40), KID()]
        if self.tied:
            return basic
        return [
            *basic,
            FIDInfinity(),
            InceptionScore(),
            Precision(),
            Density(),
            Memorisation(),
            ClassFID(),
        ]

    def truth(self, metric: str) -> float | None:
        """Where it is known exactly."""
        equal = (self.shift, self.scale) == (0, 1)
        return {"kid": 0.0, "memorisation": 0.5}.get(metric) if equal else None


WORLDS = (
    World("near"),
    World("equal", shift=0, scale=1),
    World("far", shift=0.6, scale=1.2),
    World("64 features", dim=64, n_fake=300, shift=0.1, scale=0.9),
    World("pairs", scale=1, shift=0.5, tied=True),
)


def coverage(world: World, draws: int) -> Iterator[tuple[str, float, float, float]]:
    """Metric, standard deviation over samples, mean of what intervals say it is, and coverage."""
    told: dict[str, list[tuple[float, float, float]]] = {}
    for number in range(draws):
        sides = world.sides(number)
        for metric in world.metrics:
            value = metric(sides[metric.name in OF_BOTH])
            told.setdefault(metric.name, []).append((value.value, *value.interval))
    for name, records in told.items():
        values, low, high = np.array(records).T
        truth = world.truth(name)
        truth = values.mean() if truth is None else truth
        held = float(((low <= truth) & (truth <= high)).mean())
        yield name, values.std(ddof=1), (high - low).mean() / 2 / 1.96, held


def main() -> None:
    """Print the table of docs/results.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=400)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, dict[str, float]] = {}
    for world in WORLDS:
        for name, spread, said, held in coverage(world, arguments.draws):
            rows.setdefault(name, {})[world.name] = held
            print(f"# {world.name}: {name} varies by {spread:.4g}, said {said:.4g}", flush=True)
    names = [world.name for world in WORLDS]
    print(f"| interval of | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}")
    for metric, cells in rows.items():
        told = (f"{cells[name]:.1%}" if name in cells else "–" for name in names)
        print(f"| `{metric}` | {' | '.join(told)} |")


if __name__ == "__main__":
    main()
