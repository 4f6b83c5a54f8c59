"""What a tool may use of a trained generator, and what it hands back to be written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ganforge.latent.priors import Prior, of_seeds
from ganforge.utils.errors import UserError
from ganforge.utils.seeds import torch_rng


class ImageSet(Protocol):
    """Real images as ``Reals`` hold them, wherever they come from."""

    @property
    def images(self) -> Tensor:
        """Uint8 ``N×C×H×W``."""
        ...

    @property
    def labels(self) -> Mapping[str, Tensor]:
        """Numbers of values by attribute."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Reals:
    """Real images uint8 ``N×C×H×W`` and the numbers of their values by attribute, if any."""

    images: Tensor
    labels: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Space:
    """A latent space: the way from latents to images, and the instruments that read images.

    ``generator`` maps latents of ``prior`` to float images in ``[-1, 1]``, differentiably;
    ``generate`` to uint8 ones. ``features`` reads uint8 images to ``N×D``; ``classify`` to
    logits ``N×values`` by attribute, whose values ``names`` lists; ``activations`` reads float
    images to feature maps, differentiably; ``open_image`` reads a file to uint8 ``C×H×W`` of the
    generator's size. An instrument that there is none of is None.
    """

    generator: nn.Module
    prior: Prior
    generate: Callable[[Tensor], Tensor]
    features: Callable[[Tensor], Tensor]
    train: ImageSet
    test: ImageSet
    open_image: Callable[[str], Tensor] | None = None
    seed: int = 0
    classify: Callable[[Tensor], dict[str, Tensor]] | None = None
    names: Mapping[str, list[str]] = field(default_factory=dict)
    activations: Callable[[Tensor], Sequence[Tensor]] | None = None

    def rng(self, stream: int = 0) -> torch.Generator:
        """Return a new source of random numbers: the same one for the same seed and stream."""
        return torch_rng(self.seed, 0, "explore", stream)

    def of_seeds(self, seeds: Sequence[int]) -> Tensor:
        """Latents of ``ganforge generate``'s seeds, ``len(seeds)×D``."""
        return of_seeds(self.prior, seeds)

    def images(self, z: Tensor, batch_size: int = 250) -> Tensor:
        """Uint8 images of any number of latents, on the CPU."""
        return torch.cat([self.generate(part).cpu() for part in z.split(batch_size)])

    def logits(self, images: Tensor, batch_size: int = 250) -> dict[str, Tensor]:
        """Logits ``N×values`` of every attribute, on the CPU; UserError without a classifier."""
        if self.classify is None:
            raise UserError(
                "this tool needs a classifier of attributes, which features=cnn has for labelled "
                "data sets: train one with python -m ganforge.commands.train_features data=NAME"
            )
        parts = [self.classify(part) for part in images.split(batch_size)]
        return {name: torch.cat([part[name].cpu() for part in parts]) for name in parts[0]}

    def embed(self, images: Tensor, batch_size: int = 250) -> Tensor:
        """Features ``N×D`` of any number of uint8 images, on the CPU."""
        return torch.cat([self.features(part).float().cpu() for part in images.split(batch_size)])


@dataclass(frozen=True)
class Sheet:
    """Uint8 images ``N×C×H×W`` to lay out row by row, with a word for each row and column."""

    images: Tensor
    columns: Sequence[str]
    rows: Sequence[str]


@dataclass(frozen=True)
class Matrix:
    """Values ``rows×columns`` to be drawn as a heat map."""

    values: Tensor
    rows: Sequence[str]
    columns: Sequence[str]
    title: str


@dataclass(frozen=True)
class Film:
    """Frames, each uint8 ``N×C×H×W`` to be tiled in ``columns``; ``loops`` joins end to start."""

    frames: Sequence[Tensor]
    columns: int
    loops: bool = True


@dataclass(frozen=True)
class Findings:
    """What a tool found: numbers for the JSON, lines for the terminal, pictures by file name."""

    numbers: dict[str, Any]
    lines: Sequence[str]
    pictures: Mapping[str, Sheet | Matrix | Film]


class Tool(Protocol):
    """One way to explore a latent space; an object of the config group ``tool``."""

    def __call__(self, space: Space) -> Findings:
        """Explore: the same space and seed give the same findings."""
        ...
