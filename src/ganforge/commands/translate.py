"""``ganforge translate``: image files of any size through a trained translator."""

import math
from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.progress import track

from ganforge.data.decode import BROKEN, Levels, open_pages, reason
from ganforge.data.levels import same_range
from ganforge.data.listing import Listing, read_file, some
from ganforge.trained.health import refuse_broken
from ganforge.trained.load import load_run
from ganforge.trained.translate import (
    WRITABLE,
    _channels,
    _names,
    _of_several,
    _pixels,
    _translated,
    _value_range,
    written_names,
)
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.images import save_image, save_pages
from ganforge.utils.seeds import number
from ganforge.utils.terminal import relative_path, terminal

# The longest side that a format can hold; larger pictures are written as PNG.
MOST_PIXELS = {".webp": 16383, ".jpg": 65535, ".jpeg": 65535}


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
        f"{loaded.step} into {relative_path(output)}",
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
