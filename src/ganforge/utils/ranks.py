"""Work shared among the processes of a distributed job, and its results put in order again."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Item = TypeVar("Item")


def world() -> tuple[int, int]:
    """This process's rank and the number of processes: (0, 1) outside a distributed job."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def share(items: Iterable[Item]) -> Iterator[Item]:
    """Every n-th item, from this rank's on, for n processes; one process takes all."""
    rank, size = world()
    return islice(iter(items), rank, None, size)


def merge(rows: Tensor | None, lengths: Sequence[int]) -> Tensor | None:
    """Rows of all processes in the order of the items; collective.

    ``rows`` are those of this process's ``share``, ``lengths`` how many each of its items gave.
    """
    _, size = world()
    if size == 1:
        return rows
    told: list[Any] = [None] * size
    dist.all_gather_object(told, (rows, list(lengths)))
    parts = [() if r is None else r.split(list(n)) for r, n in told]
    longest = max(map(len, parts))
    ordered = [rank[turn] for turn in range(longest) for rank in parts if turn < len(rank)]
    return torch.cat(ordered) if ordered else None


def agree(answer: bool) -> bool:
    """Whether all processes say yes; collective."""
    _, size = world()
    told: list[Any] = [answer] * size
    if size > 1:
        dist.all_gather_object(told, answer)
    return all(told)


@contextmanager
def shared_buffers(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Lend every process the first one's buffers for a block: batch statistics differ.

    Collective. Afterwards each process has its own again: to measure must not change training.
    """
    _, size = world()
    buffers = [b for network in networks for b in network.buffers()] if size > 1 else []
    kept = [buffer.clone() for buffer in buffers]
    try:
        for buffer in buffers:
            dist.broadcast(buffer, 0)
        yield
    finally:
        for buffer, own in zip(buffers, kept, strict=True):
            buffer.copy_(own)
