"""Images of noise, made in an instant and in any number: content costs no time in these cases."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ganforge.data.source import Chunk, Names

CHUNK = 1000


def noise_images(count: int, channels: int, size: int, seed: int = 0) -> torch.Tensor:
    """Random uint8 ``count×channels×size×size``."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, size, size), generator=rng, dtype=torch.uint8)


class NoiseImages:
    """A source that takes the place of ``Avatars`` in a configuration."""

    label = None

    def __init__(
        self,
        train_count: int,
        test_count: int,
        seed: int,
        label: str | None = None,  # noqa: ARG002 (as of Avatars)
        workers: int | None = None,  # noqa: ARG002
    ) -> None:
        self.counts = {"train": train_count, "test": test_count}
        self.seed = seed

    def check(self, size: int | None, channels: int | None) -> None:
        """Every size is possible."""

    def key(self) -> dict[str, Any]:
        """What decides the content."""
        return {"noise": self.counts, "seed": self.seed}

    def chunks(self, split: str, size: int, channels: int) -> Iterator[Chunk]:
        """Draw some thousand at a time."""
        for start in range(0, self.counts[split], CHUNK):
            count = min(CHUNK, self.counts[split] - start)
            yield Chunk(np.asarray(noise_images(count, channels, size, self.seed + start)))

    def names(self) -> Names:
        """Noise has none."""
        return Names()


def noise_overrides(folder: str, count: int) -> tuple[str, ...]:
    """Overrides that put noise in the place of faces, in a cache of the benchmark's own."""
    return (
        "data.source._target_=benchmarks.noise.NoiseImages",
        f"data.source.train_count={count}",
        "data.source.test_count=16",
        "data.source.label=null",
        f"paths.data_dir={folder}/data",
    )
