"""Image files of any size through a trained translator."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

from ganforge.data.decode import BROKEN, Levels, flatten, open_pages, reason, to_array
from ganforge.data.levels import UnknownRangeError, same_range
from ganforge.data.listing import Listing, left_out, list_images, read_file, some
from ganforge.models.region import RegionTranslator
from ganforge.models.translator import Translator
from ganforge.trained.health import refuse_broken
from ganforge.trained.load import LoadedRun
from ganforge.trained.tiles import translate_tiled
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.images import save_image, save_pages
from ganforge.utils.seeds import number
from ganforge.utils.terminal import command, tell

WRITABLE = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
SEVERAL = (".png", ".tif", ".tiff", ".webp")  # formats of several pages or frames
# The longest side that a format can hold; larger pictures are written as PNG.
MOST_PIXELS = {".webp": 16383, ".jpg": 65535, ".jpeg": 65535}


@dataclass(frozen=True)
class Order:
    """Which files are translated, and where to: checked before a model is opened."""

    folder: Path
    output: Path
    written: dict[str, str]  # relative name of an input: of its translation
    unreadable: list[str]

    @classmethod
    def of(cls, source: Path, output: Path, tile: int, overlap: int) -> "Order":
        """A file or every image of a folder; a UserError for pieces or an output that cannot be."""
        names, unreadable = _names(source, output)
        folder = source if source.is_dir() else source.parent
        single = source.is_file() and output.suffix.lower() in WRITABLE and not output.is_dir()
        if overlap < 0 or tile < max(32, 4 * overlap):
            raise UserError(
                f"tile={tile} overlap={overlap}: a tile must be at least 32 pixels and "
                "four overlaps wide, such as tile=768 overlap=64"
            )
        if single:
            if output.resolve() == source.resolve():
                raise UserError(f"output={output} is the input itself: choose another name")
            return cls(folder, output.parent, {names[0]: output.name}, unreadable)
        if output.resolve() == folder.resolve():
            raise UserError(f"output={output} is where the input lies: choose another folder")
        if output.exists() and not output.is_dir():
            raise UserError(f"output={output} is a file: choose a folder")
        return cls(folder, output, written_names(names), unreadable)


@dataclass(frozen=True)
class Done:
    """What became of an order: files that could not be read, and those of several pages."""

    bad: list[str] = field(default_factory=list)
    several: list[str] = field(default_factory=list)


def translate_files(
    loaded: LoadedRun,
    order: Order,
    direction: str,
    *,
    tile: int,
    overlap: int,
    seed: int,
    value_range: Any = None,
    track: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> Done:
    """Translate the files of an order; unreadable ones are reported and left out."""
    refuse_broken(loaded)
    channels = _channels(loaded, direction)
    torch.manual_seed(number(seed, 0, "noise at test"))
    fixed = same_range(_value_range(value_range, direction, loaded), "value_range")
    names, done = list(order.written), Done()
    levels = Levels(Listing(order.folder, None), fixed, "value_range", chosen=names)
    for name in track(names):
        fakes, times = [], []
        try:
            for page in open_pages(read_file(order.folder / name)):
                image = _pixels(page, channels, levels)[None]
                fakes.append(
                    translate_tiled(
                        lambda part: loaded.module.translate(part, direction), image, tile, overlap
                    )[0]
                )
                times.append(page.info.get("duration"))
        except BROKEN as error:
            done.bad.append(f"{name} ({reason(error)})")
            continue
        path = order.output / order.written[name]
        if max(fakes[0].shape[1:]) > MOST_PIXELS.get(path.suffix.lower(), math.inf):
            path = path.with_name(f"{path.name}.png")
        if len(fakes) == 1:
            save_image(fakes[0], path)
            continue
        place = _of_several(path.name, set(order.written.values()))
        save_pages(fakes, path.with_name(place), None if None in times else times)
        done.several.append(f"{name} {len(fakes)} in {place}")
    if len(done.bad) == len(names):
        raise DamagedFileError(
            f"none of {len(names)} files in {order.folder} could be read as an image: "
            f"{some(done.bad)}"
        )
    return done


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


def _value_range(given: Any, direction: str, loaded: LoadedRun) -> Any:
    """Black and white of deep images: what is given, else what the run's side was trained with."""
    if given is not None:
        return given
    return OmegaConf.select(loaded.config, f"data.{direction[0]}.value_range")


def _pixels(page: Image.Image, channels: int, levels: Levels) -> Tensor:
    """A page as uint8 ``C×H×W``, transparency on white."""
    try:
        flat = flatten(page, channels, levels.fixed or {})
    except UnknownRangeError:
        flat = flatten(page, channels, levels.ranges)
    return torch.from_numpy(to_array(flat).copy())


def _of_several(name: str, taken: set[str]) -> str:
    """A name whose format holds several pages, and that is no other image's."""
    if Path(name).suffix.lower() in SEVERAL:
        return name
    while (name := f"{name}.png") in taken:
        pass
    return name
