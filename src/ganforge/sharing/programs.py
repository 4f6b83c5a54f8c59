"""A trained generator as a program for other runtimes: one call, tensors in and out.

The program computes what the run computes, size and padding included. Its batch is of any size, a
translator's images of any sides from ``smallest`` on.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.fx.experimental._config as tracing
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ganforge.models.latent import LatentModel
from ganforge.models.region import RegionTranslator
from ganforge.models.translator import Translator
from ganforge.trained.load import LoadedRun, need_latents
from ganforge.utils.errors import UserError
from ganforge.utils.images import to_float, to_uint8
from ganforge.utils.seeds import picture_rng

BATCH, HEIGHT, WIDTH = "n", "height", "width"
MADE = "made"
SOUND = (1, 32, 32)  # what a model of a mouth hears


class Pixels(nn.Module):
    """What all programs share: images in and out, uint8 or float in ``[-1, 1]``."""

    def __init__(self, network: nn.Module, uint8: bool) -> None:
        super().__init__()
        self.network, self.uint8 = copy.deepcopy(network).cpu().eval(), uint8
        for part in self.network.modules():  # what looks at images in passing cannot be traced
            part._forward_hooks.clear()

    def seen(self, images: Tensor) -> Tensor:
        """Images as the network takes them."""
        return to_float(images) if self.uint8 else images

    def made(self, images: Tensor) -> Tensor:
        """Images as they are given back."""
        return to_uint8(images) if self.uint8 else images.float().clamp(-1, 1)


class FromLatents(Pixels):
    """Latents ``N×D``, and labels where there are classes, to images."""

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """One image a latent."""
        return self.made(self.network(z) if labels is None else self.network(z, labels))


class FromImages(Pixels):
    """Images of any sides to images, padded by reflection to what the network takes."""

    def forward(self, images: Tensor) -> Tensor:
        """One image an image. Index tensors, for slices would be bound to one size."""
        height, width = images.shape[-2:]
        x = self.seen(images)
        x = x.index_select(2, self._mirrored(height)).index_select(3, self._mirrored(width))
        x = self.network(x)
        return self.made(
            x.index_select(2, torch.arange(height)).index_select(3, torch.arange(width))
        )

    def _mirrored(self, side: int) -> Tensor:
        multiple = self.network.multiple
        places = torch.arange((side + multiple - 1) // multiple * multiple)
        return torch.where(places < side, places, 2 * (side - 1) - places)


class FromWindows(Pixels):
    """Windows and their exemplars, and sounds where there are some, to windows."""

    def __init__(self, model: RegionTranslator, uint8: bool) -> None:
        super().__init__(model, uint8)
        self.network.discriminator = nn.Identity()  # a critic is nobody else's affair

    def forward(self, images: Tensor, exemplar: Tensor, sound: Tensor | None = None) -> Tensor:
        """The region generated; in uint8 all around it is the input's, bit for bit."""
        heard = None if sound is None else self.seen(sound)
        made = self.made(self.network.fill(self.seen(images), self.seen(exemplar), heard))
        return torch.where(self.network.soft > 0, made, images) if self.uint8 else made


@dataclass(frozen=True)
class Program:
    """A module, two examples of each input by name, and the run's own answer as floats.

    ``sides`` are the least ones of images that may have any, None where they are fixed; ``name`` is
    a direction where a model has several.
    """

    module: Pixels
    inputs: dict[str, Tensor]
    answer: Callable[..., Tensor]
    name: str = ""
    sides: int | None = None

    def exported(self) -> ExportedProgram:
        """Traced with sizes that stay free."""
        free: dict[int, Any] = {0: Dim(BATCH)}
        if self.sides is not None:
            free |= {2: Dim(HEIGHT, min=self.sides), 3: Dim(WIDTH, min=self.sides)}
        shapes = tuple(free for _ in self.inputs)
        # Otherwise a U-Net is bound to sizes that are more than 1 inside.
        with tracing.patch(backed_size_oblivious=True), torch.no_grad():
            return torch.export.export(
                self.module, tuple(self.inputs.values()), dynamic_shapes=shapes, strict=False
            )

    def signature(self) -> str:
        """What goes in and comes out, such as ``z float32 n×128 → made uint8 n×3×32×32``."""
        with torch.no_grad():
            made = self.module(*self.inputs.values())
        given = ", ".join(self._told(name, each) for name, each in self.inputs.items())
        return f"{given} → {self._told(MADE, made)}"

    def _told(self, name: str, tensor: Tensor) -> str:
        kind = str(tensor.dtype).removeprefix("torch.")
        free = [BATCH] if self.sides is None else [BATCH, str(tensor.shape[1]), HEIGHT, WIDTH]
        return f"{name} {kind} {'×'.join([*free, *map(str, tensor.shape[len(free) :])])}"

    def cases(self) -> Iterator[tuple[Tensor, ...]]:
        """Inputs to be checked with: one, several, and other sides where they are free."""
        given = tuple(self.inputs.values())
        yield tuple(each[:1] for each in given)
        yield tuple(torch.cat([each, each.flip(0), each[:1]]) for each in given)
        if self.sides is not None:
            for height, width in ((self.sides, self.sides + 5), (2 * self.sides + 3, self.sides)):
                yield (_noise((1, given[0].shape[1], height, width), self.module.uint8),)


def programs(loaded: LoadedRun, uint8: bool) -> list[Program]:
    """What a run or bundle can compute: one program, of some translators one a direction."""
    module, data = loaded.module, loaded.config.data
    if not isinstance(module, Translator):
        need_latents(loaded)
        return [_of_latents(module, uint8)]
    if module.noise_at_test:
        raise UserError(
            f"{loaded.run.folder} draws noise as it translates, and a program gives one answer: "
            "train with model.noise_at_test=false, or take format=safetensors"
        )
    if isinstance(module, RegionTranslator):
        return [_of_windows(module, data, uint8)]
    return [_of_images(module, way, data, uint8) for way in module.translators]


def _of_latents(module: LatentModel, uint8: bool) -> Program:
    inputs = {"z": module.draw_latents(2, picture_rng(0))}
    if module.num_classes is not None:
        inputs["labels"] = torch.tensor([0, module.num_classes - 1])
    return Program(FromLatents(module.generator, uint8), inputs, module.generator)


def _of_images(module: Translator, way: str, data: Any, uint8: bool) -> Program:
    network = module.network(way)
    channels, *sides = module.input_shape(way, data)
    height, width = (max(side, network.smallest) for side in sides)
    inputs = {"images": _noise((2, channels, height, width), uint8)}
    name = way if len(module.translators) > 1 else ""
    answer = partial(module.padded, network)
    return Program(FromImages(network, uint8), inputs, answer, name, network.smallest)


def _of_windows(module: RegionTranslator, data: Any, uint8: bool) -> Program:
    channels, *sides = module.output_shape("", data)
    inputs = {key: _noise((2, channels, *sides), uint8) for key in ("images", "exemplar")}
    if module.generator.hears:
        inputs["sound"] = _noise((2, *SOUND), uint8)
    return Program(FromWindows(module, uint8), inputs, module.fill)


def _noise(shape: tuple[int, ...], uint8: bool) -> Tensor:
    rng = picture_rng(math.prod(shape))
    images = torch.randint(256, shape, generator=rng, dtype=torch.uint8)
    return images if uint8 else to_float(images)
