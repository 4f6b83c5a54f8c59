"""Instance noise (Sønderby et al. 2017; Arjovsky & Bottou 2017): real and fake, both blurred."""

import math

import torch
from torch import Tensor, nn


class InstanceNoise(nn.Module):
    """Adds N(0, σ²) to all that the critic sees; σ falls linearly from ``std`` to 0.

    ``kimg`` thousand real images later it is gone. Both distributions then cover the whole space,
    so that a perfect critic is out of reach while the generator is far off.
    """

    def __init__(self, std: float = 0.1, kimg: float = 100.0) -> None:
        super().__init__()
        if std < 0 or kimg <= 0:
            raise ValueError(
                f"model.objective.noise.std={std} must not be negative, "
                f"model.objective.noise.kimg={kimg} must be above 0"
            )
        self.std, self.kimg = std, kimg
        self._images = 0  # a number, not a buffer: reading that would wait for the device

    @property
    def sigma(self) -> float:
        """The deviation now."""
        return self.std * max(0.0, 1 - self._images / (1000 * self.kimg))

    def forward(self, images: Tensor) -> Tensor:
        """Add another draw to every value."""
        return images + self.sigma * torch.randn_like(images) if self.sigma else images

    def observe(self, verdicts: Tensor) -> dict[str, Tensor]:
        """Count the real images of this update, on all ranks, until the noise is gone."""
        ranks = 1
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            ranks = torch.distributed.get_world_size()
        self._images = min(self._images + len(verdicts) * ranks, math.ceil(1000 * self.kimg))
        return {"noise_std": verdicts.new_full((), self.sigma, dtype=torch.float32)}

    def graph_key(self, calls: int) -> str | None:  # noqa: ARG002
        """A recorded step holds one deviation: it can be repeated once the noise is gone."""
        return None if self.sigma else "gone"

    def advance(self, calls: int) -> None:
        """Nothing is left to count."""

    def get_extra_state(self) -> dict[str, int]:
        """How many images there were."""
        return {"images": self._images}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self._images = state["images"]
