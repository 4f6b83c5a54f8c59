"""Shuffled batches straight from a tensor: no workers, resumable in the middle of an epoch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganforge.data.store import Images
from ganforge.utils.errors import UserError


class BatchLoader:
    """Endless supply of epochs; each iteration is one epoch of dict batches.

    Every batch has ``image`` and ``index`` (int64 ``N``), and ``label``, ``attributes`` and
    ``flip`` (bool ``N``: mirror this image) where they apply. The order depends on (seed, epoch)
    alone: a loader that loads another's state delivers exactly the batches the other had left.
    ``rank`` of ``world_size`` processes draw disjoint parts of each epoch.
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
        order = np.random.default_rng([self._seed, self._epoch]).permutation(len(self.data))
        flips = np.random.default_rng([self._seed, self._epoch, 1]).random(len(order)) < 0.5
        while self._offset < len(self):
            start = (self._offset * self._world_size + self._rank) * self.batch_size
            chosen = slice(start, start + self.batch_size)
            batch = self._batch(torch.from_numpy(order[chosen]))
            if self._flip:
                batch["flip"] = torch.from_numpy(flips[chosen])
            # Before the yield: whoever saves the state while training on a batch has consumed it.
            self._offset, self._drawn = self._offset + 1, True
            yield batch

    def _batch(self, index: Tensor) -> dict[str, Tensor]:
        columns = {
            "image": self.data.images,
            "label": self.data.labels,
            "attributes": self.data.attributes,
        }
        batch = {"index": index}
        for key, column in columns.items():
            if column is not None:
                rows = column[index.to(column.device)]
                batch[key] = rows.pin_memory() if self._pin_memory and rows.is_cpu else rows
        return batch
