"""What the translators share: domains A and B, uint8 in and out, rates that fall."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganforge.losses.objective import AdversarialObjective
from ganforge.models.base import AdversarialModule
from ganforge.utils.errors import UserError
from ganforge.utils.images import to_float, to_uint8
from ganforge.utils.modes import evaluating

TYPICAL = (16, 16)  # batches of images, each so large, that stand for all


class Translator(AdversarialModule):
    """A model of images ``a`` and ``b``. Its batches are ``{"a": N×Ca×H×W, "b": N×Cb×H×W}``.

    ``translators`` maps each direction that it learns to the name of the network that goes there.
    """

    translators: dict[str, str]
    batch_keys: ClassVar[tuple[str, ...]] = ("a", "b")
    noise_at_test: bool = False  # whether the same image gives another translation each time
    usage: ClassVar[str] = "translate run={run} input=FOLDER output=FOLDER"  # of ``ganforge``

    def setup(self, stage: str) -> None:
        """Refuse terms that read latents, which a translator does not have."""
        super().setup(stage)
        for part in self.modules():
            if isinstance(part, AdversarialObjective) and part.generator_terms:
                raise UserError(
                    f"generator_term=[{','.join(part.generator_terms)}] reads the latents of a "
                    "generator, which a translator does not have: remove it"
                )

    def generators(self) -> dict[str, str]:
        """One a direction."""
        return self.translators

    def translate(self, images: Tensor, direction: str) -> Tensor:
        """Translate uint8 ``N×C×H×W`` of any height and width to uint8; no gradient, no state.

        Sides that the network does not take are padded by reflection, tiny ones by repetition, and
        cropped again.
        """
        with evaluating(self), torch.no_grad():
            return to_uint8(self.padded(self.network(direction), to_float(images.to(self.device))))

    def input_shape(self, direction: str, data: Mapping[str, Any]) -> tuple[int, ...]:
        """``C×H×W`` of what ``translate`` takes, by the settings of the training data."""
        return _shape(direction[0], data)

    def output_shape(self, direction: str, data: Mapping[str, Any]) -> tuple[int, ...]:
        """``C×H×W`` of what it makes of that."""
        return _shape(direction[-1], data)

    def network(self, direction: str) -> nn.Module:
        """The generator of one direction; a ValueError names those there are."""
        if direction not in self.translators:
            known = " and ".join(self.translators)
            raise ValueError(f"this model translates {known}, not {direction}")
        return getattr(self, self.translators[direction])

    def typical_inputs(self, network: str) -> Iterator[tuple[Tensor]]:
        """Training images of the side that a generator starts from, as large as the test images."""
        for way in (way for way, name in self.translators.items() if name == network):
            domain = self.trainer.datamodule.domain(way[0])
            train, sides = domain.split("train").images, domain.split("test").images.shape[-2:]
            top, left = ((n - side) // 2 for n, side in zip(train.shape[-2:], sides, strict=True))
            batches, size = TYPICAL
            rows = torch.linspace(0, len(train) - 1, min(batches * size, len(train))).long()
            for part in rows.split(size):
                piece = train[part, :, top : top + sides[0], left : left + sides[1]]
                yield (to_float(piece.to(self.device)),)

    @staticmethod
    def padded(network: nn.Module, images: Tensor) -> Tensor:
        """A network's answer to float images of any height and width."""
        height, width = images.shape[-2:]
        down, right = (
            max(network.smallest - side, -side % network.multiple) for side in (height, width)
        )
        # Reflection needs more pixels than it adds; tiny images repeat their border instead.
        mode = "reflect" if down < height and right < width else "replicate"
        padded = F.pad(images, (0, right, 0, down), mode=mode)
        return network(padded)[..., :height, :width]


def _shape(side: str, data: Mapping[str, Any]) -> tuple[int, ...]:
    """Of one image of a domain, a or b."""
    return data["channels_a" if side == "a" else "channels"], data["size"], data["size"]
