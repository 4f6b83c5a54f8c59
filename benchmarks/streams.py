"""What packed data sets cost to write and to read: litdata, and webdataset where it is installed.

``python -m benchmarks.streams --images 16384 --size 64`` prints images a second of computing time,
of one process: what waits for a disk is not counted.
"""

import argparse
import io
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from ganforge.data.packing import pack
from ganforge.data.source import Chunk, Names
from ganforge.data.stream import ChunkOrder, Stream

WINDOW, BATCH, RANDOM = 16, 64, 512


class Noise:
    """Images of random bytes."""

    label = None

    def __init__(self, count: int) -> None:
        self.count = count

    def check(self, size: int, channels: int) -> None:
        """Anything can be drawn."""

    def key(self) -> dict[str, int]:
        return {"noise": self.count}

    def chunks(self, split: str, size: int, channels: int) -> Iterator[Chunk]:
        rng = np.random.default_rng(0)
        left = self.count if split == "train" else 1
        while left:
            shape = (min(left, 1024), channels, size, size)
            yield Chunk(rng.integers(256, size=shape, dtype=np.uint8))
            left -= shape[0]

    def names(self) -> Names:
        return Names()


def rate(what: str, count: int, work: Callable[[], object]) -> None:
    """Print how many images a second of computing time ``work`` handled."""
    begun = time.process_time()
    work()
    print(
        f"RESULT {what}: {count / (time.process_time() - begun):,.0f} images a second", flush=True
    )


def read(stream: Stream, order: np.ndarray) -> None:
    """Read images by number, a batch at a time."""
    for batch in torch.from_numpy(order).split(BATCH):
        stream.rows(batch)


def litdata(images: int, size: int, folder: Path) -> None:
    """Write, read window after window, read at random."""
    rate("litdata, write", images, lambda: pack(Noise(images), size, 3, folder, 32))
    stream = Stream(str(folder / "train"), folder / "cache", WINDOW, None, None)
    order = ChunkOrder(stream.sizes, WINDOW, seed=0).part(0, 0, images)
    rate("litdata, read by number in order", images, lambda: read(stream, np.arange(images)))
    rate(
        "litdata, read by number, shuffled in windows of chunks",
        images,
        lambda: read(stream, order),
    )
    few = np.random.default_rng(0).permutation(images)[:RANDOM]
    single = Stream(str(folder / "train"), folder / "cache", 1, None, None)
    rate("litdata, read at random with one chunk open", RANDOM, lambda: read(single, few))


def webdataset(images: int, size: int, folder: Path) -> None:
    """Write tar files and read them shuffled by the library."""
    from webdataset import WebDataset

    folder.mkdir()
    shard = folder / "train.tar"

    def write() -> None:
        with tarfile.open(shard, "w") as tar:
            number = 0
            for chunk in Noise(images).chunks("train", size, 3):
                for image in chunk.images:
                    data = image.tobytes()
                    info = tarfile.TarInfo(f"{number:08d}.bin")
                    info.size, number = len(data), number + 1
                    tar.addfile(info, io.BytesIO(data))

    rate("webdataset, write", images, write)
    data = WebDataset(str(shard), shardshuffle=False).shuffle(1000)
    rate("webdataset, read shuffled", images, lambda: [np.frombuffer(s["bin"], "u1") for s in data])


def main() -> None:
    """Measure what is installed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.streams", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--images", type=int, default=16384)
    parser.add_argument("--size", type=int, default=64)
    asked = parser.parse_args()
    for name, measure in (("litdata", litdata), ("webdataset", webdataset)):
        if find_spec(name) is None:
            print(f"{name} is not installed: left out")
            continue
        with tempfile.TemporaryDirectory() as folder:
            measure(asked.images, asked.size, Path(folder) / "set")


if __name__ == "__main__":
    main()
