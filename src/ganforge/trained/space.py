"""A trained generator's latent space, with the instruments that read its images."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ganforge.data.decode import BROKEN, flatten, open_picture, reason
from ganforge.data.listing import read_file
from ganforge.latent.priors import Prior
from ganforge.latent.space import Reals, Space
from ganforge.metrics.cnn import CNNFeatures, Residual, resize
from ganforge.metrics.features import FeatureExtractor, with_channels
from ganforge.trained.load import LoadedRun, build_data
from ganforge.utils.errors import UserError


def build_space(
    loaded: LoadedRun,
    extractor: FeatureExtractor | None,
    *,
    name: str = "z",
    label: int | None = None,
    seed: int = 0,
    data_path: str | None = None,
) -> Space:
    """Join a run's generator, its data and the classifier of its data."""
    module = loaded.module
    prior, generator = one_class(loaded, name, label)
    if extractor is not None:
        extractor.to(module.device)
    classifies = isinstance(extractor, CNNFeatures)
    data = LateData(loaded, data_path)
    channels, size = loaded.config.data.shape[0], loaded.config.data.shape[-1]
    return Space(
        generator=generator.requires_grad_(False),
        prior=prior,
        generate=partial(module.decode, generator),
        features=partial(_features, extractor, module.device),
        train=LateReals(data, "train"),
        test=LateReals(data, "test"),
        open_image=lambda path: open_image(path, size, channels),
        seed=seed,
        classify=extractor.attributes if classifies else None,
        names=extractor.heads if classifies else {},
        activations=Activations(extractor) if classifies else None,
    )


def _features(extractor: FeatureExtractor | None, device: torch.device, images: Tensor) -> Tensor:
    if extractor is None:
        raise UserError("this needs features: choose features=cnn or others")
    return extractor(images.to(device)).features


def one_class(loaded: LoadedRun, name: str, label: int | None) -> tuple[Prior, nn.Module]:
    """A space's prior and its generator of latents alone; a UserError asks for a class.

    The tools move through latents: a class that changed on the way would hide what they show.
    """
    module = loaded.module
    if module.num_classes is not None and label is None:
        raise UserError(
            f"{loaded.run.folder} holds a conditional model of {module.num_classes} classes: say "
            f"which one to explore, such as class=0 ({(loaded.classes or ['the first'])[0]})"
        )
    spaces = module.spaces(label)
    if name not in spaces:
        raise UserError(
            f"{loaded.run.folder} has no space {name}, which a generator with a mapping network "
            f"has: choose from {', '.join(spaces)}"
        )
    return spaces[name]


@dataclass
class LateData:
    """The data of a run, built when a tool first looks at them: many never do."""

    loaded: LoadedRun
    data_path: str | None

    @cached_property
    def module(self) -> Any:
        """The data module, set up."""
        return build_data(self.loaded, self.data_path)


@dataclass
class LateReals:
    """A split as ``Reals`` hold it, read when it is first looked at."""

    data: LateData
    split: str

    @cached_property
    def _reals(self) -> Reals:
        return reals(self.data.module, self.split)

    @property
    def images(self) -> Tensor:
        """Uint8 ``N×C×H×W``."""
        return self._reals.images

    @property
    def labels(self) -> Mapping[str, Tensor]:
        """Numbers of values by attribute."""
        return self._reals.labels

    def __len__(self) -> int:
        return len(self._reals)


def reals(data: Any, split: str) -> Reals:
    """A split with its labels by name."""
    whole = data.split(split)
    rows = whole.held()
    if len(rows["image"]) < len(whole):
        print(f"looks at {len(rows['image'])} of the {len(whole)} {split} images of {data.name}")
    columns = rows["attributes"].T if "attributes" in rows else ()
    return Reals(rows["image"], dict(zip(data.attribute_names, columns, strict=False)))


class Activations:
    """Feature maps of a classifier after each residual block, differentiable by the image."""

    def __init__(self, extractor: CNNFeatures) -> None:
        self.body: nn.Sequential = extractor.network.body
        self.size, self.channels = extractor.size, extractor.channels

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Read float images in ``[-1, 1]``."""
        if images.shape[1] != self.channels:
            images = images.mean(1, keepdim=True).expand(-1, self.channels, -1, -1)
        x, maps = resize(images, self.size), []
        for layer in self.body:
            x = layer(x)
            if isinstance(layer, Residual):
                maps.append(x)
        return maps


def open_image(path: str, size: int, channels: int) -> Tensor:
    """Read a picture as uint8 ``channels×size×size``: cropped to its central square, scaled."""
    try:
        image = flatten(open_picture(read_file(Path(path).expanduser())), 3)
    except BROKEN as error:
        raise UserError(f"{path} cannot be read as a picture: {reason(error)}") from error
    pixels = torch.from_numpy(np.atleast_3d(np.array(fitted(image, size)))).permute(2, 0, 1)
    return with_channels(pixels[None], channels)[0]


def fitted(image: Image.Image, size: int) -> Image.Image:
    """A picture's central square, scaled to ``size``."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    # Cropped first: resize(box=...) would look beyond the box at its edges.
    image = image.crop((left, top, left + side, top + side))
    return image.resize((size, size), Image.Resampling.LANCZOS)
