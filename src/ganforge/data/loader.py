"""Shuffled batches straight from a tensor: no workers, resumable in the middle of an epoch."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

from ganforge.data.store import Images
from ganforge.utils.errors import UserError
from ganforge.utils.seeds import numpy_rng

Batch = TypeVar("Batch")


def read_ahead(batches: Iterator[Batch], count: int) -> Iterator[Batch]:
    """The same batches, ``count`` of them made in a thread before they are asked for."""
    if count == 0:
        yield from batches
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
    waiting: deque[Future[Batch | None]] = deque()
    try:
        waiting.extend(pool.submit(next, batches, None) for _ in range(count + 1))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, batches, None))
            yield batch
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class BatchLoader:
    """Endless supply of epochs; each iteration is one epoch of dict batches.

    Every batch has ``image`` and ``index`` (int64 ``N``), and ``label``, ``attributes`` and
    ``flip`` (bool ``N``: mirror this image) where they apply. The order depends on (seed, epoch)
    alone: a loader that loads another's state delivers exactly the batches the other had left.
    ``rank`` of ``world_size`` processes draw disjoint parts of each epoch. A thread makes ``ahead``
    batches before they are asked for, so that gathering overlaps the device's work.
    """

    def __init__(
        self,
        data: Images,
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        flip: bool = False,
        pin_memory: bool = False,
        ahead: int = 0,
    ) -> None:
        if len(data) < batch_size * world_size:
            each = f" on each of {world_size} processes" if world_size > 1 else ""
            raise UserError(
                f"The data set has {len(data)} training images, fewer than one step takes "
                f"({batch_size}{each}): lower data.batch_size or add images."
            )
        self.data, self.batch_size = data, batch_size
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._flip, self._pin_memory = flip, pin_memory
        self._ahead = ahead
        self._epoch = self._offset = 0
        self._drawn = False  # a batch was drawn since the epoch or the loaded state began

    def __len__(self) -> int:
        return len(self.data) // (self.batch_size * self._world_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        if self._drawn or self._offset >= len(self):
            self._epoch, self._offset, self._drawn = self._epoch + 1, 0, False
        return self._batches()

    def state_dict(self) -> dict[str, Any]:
        """Return the position: what this loader delivers next follows from it."""
        return {
            "epoch": self._epoch,
            "offset": self._offset,
            "images": self._offset * self.batch_size * self._world_size,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``; another batch size continues at the same image, rounded down."""
        self._epoch = state["epoch"]
        self._offset = state["images"] // (self.batch_size * self._world_size)
        self._drawn = False

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        batches = map(self._reader(self._epoch), range(self._offset, len(self)))
        for batch in read_ahead(batches, self._ahead):
            # Before the yield: whoever saves the state while training on a batch has consumed it;
            # those that are read ahead are not.
            self._offset, self._drawn = self._offset + 1, True
            yield batch

    def _reader(self, epoch: int) -> Callable[[int], dict[str, Tensor]]:
        """What gives the batch at an offset of ``epoch``."""
        order = numpy_rng(self._seed, 0, "order", epoch).permutation(len(self.data))
        flips = numpy_rng(self._seed, 0, "flips", epoch).random(len(order)) < 0.5
        # Once an epoch: images that lie on a GPU are then gathered without waiting for the host.
        order, flips = (self.beside_images(torch.from_numpy(each)) for each in (order, flips))

        def read(offset: int) -> dict[str, Tensor]:
            start = (offset * self._world_size + self._rank) * self.batch_size
            chosen = slice(start, start + self.batch_size)
            batch = self._batch(order[chosen])
            return batch | {"flip": self._ready(flips[chosen])} if self._flip else batch

        return read

    def beside_images(self, values: Tensor) -> Tensor:
        """``values`` of main memory where the images lie; the host does not wait for a copy."""
        if not self.data.images.is_cuda:
            return self._ready(values)
        return values.pin_memory().to(self.data.images.device, non_blocking=True)

    def _ready(self, values: Tensor) -> Tensor:
        """``values``, in pinned memory where copies to a device are to start from there."""
        return values.pin_memory() if self._pin_memory and values.is_cpu else values

    def _batch(self, index: Tensor) -> dict[str, Tensor]:
        rows = self.data.rows(index)
        return {"index": index, **{key: self._ready(row) for key, row in rows.items()}}
