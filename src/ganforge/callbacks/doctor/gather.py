"""Sums of every update's readings, kept on the device and read by the host once a window."""

from typing import Any

import torch
from torch import Tensor, nn

GRADIENT = "gradient_norm"


class Gatherer:
    """Adds up readings by player; gradient norms of every ``gradient_every``-th update alone.

    A sum is finite only if all that went into it is: one look a window finds any NaN or Inf.
    """

    def __init__(self, gradient_every: int) -> None:
        self.gradient_every = gradient_every
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._updates: dict[str, int] = {}

    def observe(
        self, player: str, readings: dict[str, Tensor], parameters: list[nn.Parameter]
    ) -> None:
        """Add one update's readings; nothing is copied to the host."""
        number = self._updates.get(player, 0)
        self._updates[player] = number + 1
        if number % self.gradient_every == 0 and GRADIENT not in readings:
            gradients = [p.grad for p in parameters if p.grad is not None]
            readings = {**readings, GRADIENT: nn.utils.get_total_norm(gradients)}
        # Which readings an update has may change with its number: each set has a sum of its own.
        key = "\n".join([player, *readings])
        values = torch.stack([value.detach().float() for value in readings.values()])
        if key in self._sums:
            self._sums[key] += values
        else:
            self._sums[key] = values
        self._counts[key] = self._counts.get(key, 0) + 1

    def peek(self) -> dict[str, float]:
        """Means so far as ``player/name``, copied to the host at once."""
        if not self._sums:
            return {}
        flat = torch.cat(list(self._sums.values())).tolist()
        totals: dict[str, list[float]] = {}
        position = 0
        for key in self._sums:
            player, *names = key.split("\n")
            for name in names:
                total = totals.setdefault(f"{player}/{name}", [0.0, 0.0])
                total[0] += flat[position]
                total[1] += self._counts[key]
                position += 1
        return {name: total / count for name, (total, count) in totals.items()}

    def clear(self) -> None:
        """Begin a new window."""
        self._sums, self._counts = {}, {}

    def state_dict(self) -> dict[str, Any]:
        """The window so far."""
        return {
            "sums": {key: value.clone() for key, value in self._sums.items()},
            "counts": dict(self._counts),
            "updates": dict(self._updates),
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on within the window that ``state`` was taken in."""
        self._sums = {key: value.to(device) for key, value in state["sums"].items()}
        self._counts, self._updates = dict(state["counts"]), dict(state["updates"])
