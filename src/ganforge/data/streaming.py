"""Training from a packed data set that need not fit into memory, nor onto this machine."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganforge.data.loader import BatchLoader
from ganforge.data.source import SPLITS
from ganforge.data.splits import SplitDataModule, check_whole, place_of
from ganforge.data.stream import ChunkOrder, Stream, is_remote
from ganforge.utils.errors import UserError
from ganforge.utils.seeds import numpy_rng

AHEAD = 2  # batches that are read while the device computes


class StreamLoader(BatchLoader):
    """A ``BatchLoader`` over a stream: the same batches, positions and shares of the ranks.

    Only the order within an epoch is another one: it stays with few chunks at a time.
    """

    def __init__(self, data: Stream, batch_size: int, window: int, **options: Any) -> None:
        super().__init__(data, batch_size, ahead=AHEAD, **options)
        self._order = ChunkOrder(data.sizes, window, self._seed)

    def _reader(self, epoch: int) -> Callable[[int], dict[str, Tensor]]:
        return partial(self._read, epoch)

    def _read(self, epoch: int, offset: int) -> dict[str, Tensor]:
        start = (offset * self._world_size + self._rank) * self.batch_size
        index = torch.from_numpy(self._order.part(epoch, start, start + self.batch_size))
        batch = {"index": index, **self.data.rows(index)}
        if self._flip:
            rng = numpy_rng(self._seed, 0, "flips", epoch, start)
            batch["flip"] = torch.from_numpy(rng.random(len(index)) < 0.5)
        return {key: self._ready(value) for key, value in batch.items()}


class StreamingDataModule(SplitDataModule):
    """A data set that ``ganforge pack`` wrote, read chunk by chunk.

    Args:
        path: folder or URL (``s3://…``, ``gs://…``) that holds ``train`` and ``test``.
        window: chunks whose images are mixed and that are open at a time.
        cache_size: disk space for the chunks of an object store, such as ``200GB``; None: three
            quarters of what is free.
        storage_options: what the object store's client takes, such as ``endpoint_url``.

    """

    def __init__(
        self,
        name: str,
        path: str,
        shape: Sequence[int],
        data_dir: Path | str,
        channels: int,
        size: int,
        batch_size: int = 64,
        flip: bool = False,
        seed: int = 0,
        minibatches: int = 1,
        window: int = 16,
        cache_size: str | None = None,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        for what, value in (("batch_size", batch_size), ("size", size), ("window", window)):
            check_whole(f"data.{what}", value)
        self.name, self.shape = name, tuple(shape)
        self.channels, self.size, self.batch_size = channels, size, batch_size
        self.path = path if is_remote(path) else str(Path(path).expanduser())
        self._cache_dir = Path(data_dir).expanduser() / "streams"
        self._flip, self._seed, self._minibatches = flip, seed, minibatches
        self._window, self._cache_size, self._options = window, cache_size, storage_options
        self._opened: dict[str, Stream] = {}

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning passes the stage)
        """Read the index of both splits."""
        if not self._opened:
            self._opened = {split: self._open(split) for split in SPLITS}

    def train_dataloader(self) -> StreamLoader:
        """Return the shuffled batches of this process."""
        rank, world_size, device = place_of(self.trainer)
        return StreamLoader(
            self.split("train"),
            self._minibatches * self.batch_size,
            self._window,
            seed=self._seed,
            rank=rank,
            world_size=world_size,
            flip=self._flip,
            pin_memory=device.type == "cuda",
        )

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes in the order of ``label``, or None without labels."""
        facts = self.split("train").facts
        return facts["attributes"][facts["label"]] if facts["label"] else facts["classes"]

    @property
    def attribute_names(self) -> dict[str, list[str]]:
        """Names of the values of each attribute, in the order of the columns of ``attributes``."""
        return self.split("train").facts["attributes"]

    def _open(self, split: str) -> Stream:
        path = f"{self.path.rstrip('/')}/{split}"
        stream = Stream(path, self._cache_dir, self._window, self._cache_size, self._options)
        packed = [stream.facts["facts"][key] for key in ("channels", "size", "size")]
        if packed != list(self.shape):
            raise UserError(
                f"data.shape is {list(self.shape)} but '{self.path}' holds {packed}: "
                "set data.size and data.channels, and leave data.shape as it is."
            )
        return stream
