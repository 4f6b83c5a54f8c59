"""Image files of any size through a trained translator."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch import Tensor

from ganforge.data.decode import Levels, flatten, to_array
from ganforge.data.levels import UnknownRangeError
from ganforge.data.listing import left_out, list_images
from ganforge.models.region import RegionTranslator
from ganforge.models.translator import Translator
from ganforge.trained.load import LoadedRun
from ganforge.trained.tiles import translate_tiled
from ganforge.utils.errors import UserError
from ganforge.utils.terminal import command, tell

WRITABLE = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


SEVERAL = (".png", ".tif", ".tiff", ".webp")  # formats of several pages or frames


def _names(source: Path, output: Path) -> tuple[list[str], list[str]]:
    """Relative names of the images, and folders that cannot be read; a file needs no known suffix.

    What an earlier run wrote into a subfolder of the input is no input.
    """
    if source.is_file():
        return [source.name], []
    if not source.is_dir():
        raise UserError(f"input={source} is neither an image file nor a folder of images")
    listing, here, there = list_images(source), source.resolve(), output.resolve()
    names = listing.names
    if sentence := left_out(listing):
        tell(sentence)
    if here in there.parents:
        own = there.relative_to(here)
        names = [name for name in names if own not in Path(name).parents]
        if not names:
            raise UserError(f"all images in {source} lie in output={output}: choose another folder")
    return names, listing.unreadable


def written_names(names: Sequence[str]) -> dict[str, str]:
    """The name of each translation: the same, with .png behind it where we cannot write its format.

    Where that name is another image's, one more .png keeps them apart.
    """
    written = {name: name for name in names if Path(name).suffix.lower() in WRITABLE}
    taken = set(written)
    for name in names:
        if name not in written:
            free = f"{name}.png"
            while free in taken:
                free += ".png"
            written[name] = free
            taken.add(free)
    return written


def _channels(loaded: LoadedRun, direction: str) -> int:
    if not isinstance(loaded.module, Translator):
        raise UserError(
            f"{loaded.run.folder} holds a {type(loaded.module).__name__}, which does not translate "
            "images: train one with model=cyclegan or model=pix2pix"
        )
    if isinstance(loaded.module, RegionTranslator):
        usage = loaded.module.usage.split()
        words = (word.format(run=loaded.run.folder) for word in usage)
        raise UserError(
            f"{loaded.run.folder} changes a region of a photo after an exemplar: "
            f"{command('ganforge', *words)}"
        )
    if direction not in loaded.module.translators:
        known = " or ".join(loaded.module.translators)
        raise UserError(f"direction={direction} is not learned by {loaded.run.folder}: use {known}")
    return loaded.config.data["channels_a" if direction[0] == "a" else "channels"]


def _value_range(config: DictConfig, loaded: LoadedRun) -> Any:
    """Black and white of deep images: what is given, else what the run's side was trained with."""
    if config.value_range is not None:
        return config.value_range
    return OmegaConf.select(loaded.config, f"data.{config.direction[0]}.value_range")


def _pixels(page: Image.Image, channels: int, levels: Levels) -> Tensor:
    """A page as uint8 ``C×H×W``, transparency on white."""
    try:
        flat = flatten(page, channels, levels.fixed or {})
    except UnknownRangeError:
        flat = flatten(page, channels, levels.ranges)
    return torch.from_numpy(to_array(flat).copy())


def _translated(loaded: LoadedRun, image: Tensor, config: DictConfig) -> Tensor:
    return translate_tiled(
        lambda part: loaded.module.translate(part, config.direction),
        image[None],
        config.tile,
        config.overlap,
    )[0]


def _of_several(name: str, taken: set[str]) -> str:
    """A name whose format holds several pages, and that is no other image's."""
    if Path(name).suffix.lower() in SEVERAL:
        return name
    while (name := f"{name}.png") in taken:
        pass
    return name
