"""``ganforge translate``: image files of any size through a trained translator."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from rich.progress import track
from torch import Tensor

from ganforge.commands.common import LoadedRun, load_run
from ganforge.commands.sources import refuse_broken
from ganforge.data.decode import BROKEN, Levels, flatten, open_pages, reason, to_array
from ganforge.data.levels import UnknownRangeError, same_range
from ganforge.data.listing import Listing, left_out, list_images, read_file, some
from ganforge.models.region import RegionTranslator
from ganforge.models.tiles import translate_tiled
from ganforge.models.translator import Translator
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.images import save_image, save_pages
from ganforge.utils.seeds import number
from ganforge.utils.terminal import command, shown, tell, terminal

# The longest side that a format can hold; larger pictures are written as PNG.
MOST_PIXELS = {".webp": 16383, ".jpg": 65535, ".jpeg": 65535}
WRITABLE = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
SEVERAL = (".png", ".tif", ".tiff", ".webp")  # formats of several pages or frames


def translate(config: DictConfig) -> None:
    """Translate a file or every image of a folder; unreadable ones are reported and left out."""
    source, output = Path(config.input).expanduser(), Path(config.output).expanduser()
    names, unreadable = _names(source, output)
    folder = source if source.is_dir() else source.parent
    single = source.is_file() and output.suffix.lower() in WRITABLE and not output.is_dir()
    _check(config, folder, output, single)
    loaded = load_run(config.run, config.checkpoint, config.device, config.trusted)
    refuse_broken(loaded)
    channels = _channels(loaded, config.direction)
    written = {names[0]: output.name} if single else written_names(names)
    output = output.parent if single else output
    torch.manual_seed(number(config.seed, 0, "noise at test"))
    fixed = same_range(_value_range(config, loaded), "value_range")
    levels = Levels(Listing(folder, None), fixed, "value_range", chosen=names)
    bad: list[str] = []
    several: list[str] = []
    console = terminal(stderr=True)
    for name in track(names, "translating", console=console, transient=True):
        fakes, times = [], []
        try:
            for page in open_pages(read_file(folder / name)):
                fakes.append(_translated(loaded, _pixels(page, channels, levels), config))
                times.append(page.info.get("duration"))
        except BROKEN as error:
            bad.append(f"{name} ({reason(error)})")
            continue
        path = output / written[name]
        if max(fakes[0].shape[1:]) > MOST_PIXELS.get(path.suffix.lower(), math.inf):
            path = path.with_name(f"{path.name}.png")
        if len(fakes) == 1:
            save_image(fakes[0], path)
            continue
        place = _of_several(path.name, set(written.values()))
        save_pages(fakes, path.with_name(place), None if None in times else times)
        several.append(f"{name} {len(fakes)} in {place}")
    for line in [*unreadable, *bad]:
        console.print(f"skipped: {line}", soft_wrap=True)
    if several:
        console.print(f"pages or frames: {some(several)}", soft_wrap=True)
    if len(bad) == len(names):
        raise DamagedFileError(f"none of {len(names)} files in {source} could be read as an image")
    terminal().print(
        f"{len(names) - len(bad)} of {len(names)} images translated {config.direction} by step "
        f"{loaded.step} into {shown(output)}",
        soft_wrap=True,
    )


def _check(config: DictConfig, folder: Path, output: Path, single: bool) -> None:
    """Raise a UserError for pieces or an output that cannot be."""
    if config.overlap < 0 or config.tile < max(32, 4 * config.overlap):
        raise UserError(
            f"tile={config.tile} overlap={config.overlap}: a tile must be at least 32 pixels and "
            "four overlaps wide, such as tile=768 overlap=64"
        )
    if single:
        if output.resolve() == Path(config.input).expanduser().resolve():
            raise UserError(f"output={output} is the input itself: choose another name")
        return
    if output.resolve() == folder.resolve():
        raise UserError(f"output={output} is where the input lies: choose another folder")
    if output.exists() and not output.is_dir():
        raise UserError(f"output={output} is a file: choose a folder")


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
