"""How readable generated images are to the classifier of their data set."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganforge.metrics.comparison import Comparison, Value
from ganforge.utils.errors import UserError


@dataclass(frozen=True)
class Legibility:
    """Share of images whose attribute the classifier is sure of, over that share of real images.

    The mean over attributes; ``details`` has each. Smudged faces have a good FID of a small
    classifier's features where their hair, eyes and mouths cannot be told: this sees them.
    """

    sure: float = 0.9
    name: ClassVar[str] = "legibility"
    paired: ClassVar[bool] = True
    reads_heads: ClassVar[bool] = True

    def __call__(self, sides: Comparison) -> Value:
        """Higher is better; 1 is as readable as real images."""
        if sides.heads is None:
            raise UserError("legibility needs the classifier of the data set: features=cnn.")
        real, fake = (
            self._shares(sides.heads(f.features)) for f in (sides.real.features, sides.fake)
        )
        shares = {name: fake[name] / share for name, share in real.items() if share > 0}
        if not shares:
            raise UserError("The classifier is sure of no attribute of the real images.")
        value = sum(shares.values()) / len(shares)
        return Value(value, settings=(("sure", self.sure),), details=shares)

    def _shares(self, logits: dict[str, Tensor]) -> dict[str, float]:
        """Share of the images of which a head is sure."""
        return {
            name: (torch.softmax(rows.double(), 1).amax(1) >= self.sure).double().mean().item()
            for name, rows in logits.items()
        }
