"""``ganforge translate``: image files of any size through a trained translator."""

from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.progress import track
from torch import Tensor

from ganforge.commands.common import LoadedRun, load_run
from ganforge.commands.sources import refuse_broken
from ganforge.data.decode import BROKEN, flatten, open_picture, reason, to_array
from ganforge.data.listing import list_images
from ganforge.models.region import RegionTranslator
from ganforge.models.tiles import translate_tiled
from ganforge.models.translator import Translator
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.images import save_image
from ganforge.utils.terminal import command, shown, terminal

WRITABLE = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def translate(config: DictConfig) -> None:
    """Translate a file or every image of a folder; unreadable ones are reported and left out."""
    source, output = Path(config.input).expanduser(), Path(config.output).expanduser()
    names = _names(source, output)
    folder = source if source.is_dir() else source.parent
    _check(config, folder, output)
    loaded = load_run(config.run, config.checkpoint, config.device)
    refuse_broken(loaded)
    channels = _channels(loaded, config.direction)
    written = written_names(names)
    torch.manual_seed(config.seed)
    bad: list[str] = []
    console = terminal(stderr=True)
    for name in track(names, "translating", console=console, transient=True):
        try:
            image = _read(folder / name, channels)
        except BROKEN as error:
            bad.append(f"{name} ({reason(error)})")
            continue
        fake = translate_tiled(
            lambda part: loaded.module.translate(part, config.direction),
            image[None],
            config.tile,
            config.overlap,
        )
        save_image(fake[0], output / written[name])
    for line in bad:
        console.print(f"skipped: {line}", soft_wrap=True)
    if len(bad) == len(names):
        raise DamagedFileError(f"none of {len(names)} files in {source} could be read as an image")
    terminal().print(
        f"{len(names) - len(bad)} of {len(names)} images translated {config.direction} by step "
        f"{loaded.step} into {shown(output)}",
        soft_wrap=True,
    )


def _check(config: DictConfig, folder: Path, output: Path) -> None:
    """Raise a UserError for pieces or an output that cannot be."""
    if config.overlap < 0 or config.tile < max(32, 4 * config.overlap):
        raise UserError(
            f"tile={config.tile} overlap={config.overlap}: a tile must be at least 32 pixels and "
            "four overlaps wide, such as tile=768 overlap=64"
        )
    if output.resolve() == folder.resolve():
        raise UserError(f"output={output} is where the input lies: choose another folder")
    if output.exists() and not output.is_dir():
        raise UserError(f"output={output} is a file: choose a folder")


def _names(source: Path, output: Path) -> list[str]:
    """Relative names of the images; a file needs no known suffix.

    What an earlier run wrote into a subfolder of the input is no input.
    """
    if source.is_file():
        return [source.name]
    if not source.is_dir():
        raise UserError(f"input={source} is neither an image file nor a folder of images")
    names, here, there = list_images(source).names, source.resolve(), output.resolve()
    if here in there.parents:
        own = there.relative_to(here)
        names = [name for name in names if own not in Path(name).parents]
        if not names:
            raise UserError(f"all images in {source} lie in output={output}: choose another folder")
    return names


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


def _read(path: Path, channels: int) -> Tensor:
    """Decode a file to uint8 ``C×H×W``, oriented, transparency on white."""
    array = to_array(flatten(open_picture(path.read_bytes()), channels))
    return torch.from_numpy(array.copy())
