"""Where images to compare come from: a run, a bundle, a data set's split, a folder, a zip."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ganforge.config.compose import compose_in_place, config_dir
from ganforge.data.source import SPLITS
from ganforge.metrics.features import Batch, with_channels
from ganforge.metrics.scorer import Origin
from ganforge.metrics.sets import generated, real_images
from ganforge.metrics.statistics import ImageSet
from ganforge.scoring.files import ImageFiles
from ganforge.trained.bundle import is_bundle
from ganforge.trained.health import refuse_broken
from ganforge.trained.load import LoadedRun, build_data, load_run, need_latents
from ganforge.trained.named import place_of
from ganforge.utils.errors import UserError
from ganforge.utils.runs import Run

DEFAULT_COUNT = 2000  # images that a generator makes where nobody says


@dataclass(frozen=True)
class Source:
    """Images with a name; ``pick(n, seed)`` chooses or makes ``n`` of them.

    ``count`` is None for a generator, which has as many as one likes. ``config`` composes the
    features that fit, where there are some. ``loaded`` is the run that makes the images, and
    ``direction`` which way it translates. ``size`` is the images' height and width in words.
    """

    name: str
    count: int | None
    channels: int
    pick: Callable[[int, int], ImageSet]
    config: Any = None
    loaded: LoadedRun | None = None
    size: str = ""
    direction: str = ""

    @property
    def data(self) -> str | None:
        """Name of the data set that they are of, where it is known."""
        return None if self.config is None else self.config.data.name

    def take(self, n: int | None, seed: int) -> ImageSet:
        """``n`` images, at most all; None: all, or ``DEFAULT_COUNT`` of a generator."""
        if n is not None and n < 2:
            raise UserError(f"n={n} is too few: scores need at least 2 images")
        if self.count is None:
            return self.pick(n or DEFAULT_COUNT, seed)
        return self.pick(min(n or self.count, self.count), seed)

    def origin(self, seed: int) -> Origin:
        """What scores of these images tell of them."""
        if self.loaded is None:
            return Origin(seed=seed, run=self.name)
        loaded, run = self.loaded, self.loaded.run.folder.name
        return Origin(loaded.ema, seed, loaded.step, loaded.checkpoint, self.direction, run)


def open_source(
    spec: str,
    *,
    data_dir: Path,
    size: int | None = None,
    value_range: Sequence[float] | None = None,
    checkpoint: str = "best",
    data_path: str | None = None,
    device: str = "auto",
    trusted: bool = False,
) -> Source:
    """Find out what ``spec`` names; a UserError lists what it may be.

    ``size`` and ``value_range`` are for files and data sets, ``checkpoint``, ``device`` and
    ``trusted`` for runs; ``data_path`` says where a data set's files lie.
    """
    path = place_of(spec)
    if path.suffix == ".safetensors" and is_bundle(path.parent):
        path = path.parent
    if is_bundle(path) or Run(path).config.is_file():
        return of_run(load_run(path, checkpoint, device, trusted))
    if path.exists():
        files = ImageFiles(path, size, data_dir, value_range)
        return Source(spec, files.count, files.channels, files.pick, size=files.dimensions)
    name, _, split = spec.partition(":")
    if (config_dir() / "data" / f"{name}.yaml").is_file():
        return _of_data_set(name, split or "train", data_dir, size, data_path)
    known = ", ".join(sorted(file.stem for file in (config_dir() / "data").glob("*.yaml")))
    raise UserError(
        f"{spec} is neither a run, a bundle, a folder or zip archive of images, nor a data set's "
        f"split such as avatars:test (data sets: {known})"
    )


def of_run(loaded: LoadedRun) -> Source:
    """The generator of a run or bundle."""
    need_latents(loaded)
    refuse_broken(loaded)
    name = loaded.run.folder.name
    about = {"data_hash": _weights_hash(loaded.module), "name": name}
    channels, *size = loaded.config.data.shape
    pick = partial(generated, loaded.module, **about)
    return Source(name, None, channels, pick, loaded.config, loaded, _size(size))


def _weights_hash(module: Any) -> str:
    """Content hash of a generator."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.generator.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy())
    return digest.hexdigest()


def _of_data_set(
    name: str, split: str, data_dir: Path, size: int | None, data_path: str | None
) -> Source:
    if split not in SPLITS:  # before hours of drawing or decoding
        raise UserError(f"{name} has no split '{split}': there are {' and '.join(SPLITS)}")
    overrides = [f"data={name}", f"paths.data_dir={data_dir}"]
    if size is not None:
        overrides.append(f"data.size={size}")
    composed = compose_in_place("train", overrides)
    data = build_data(LoadedRun(Run(Path(name)), composed, None, 0, False), data_path)
    return of_split(f"{name}:{split}", data, split, composed)


def of_split(name: str, data: Any, split: str, config: Any = None) -> Source:
    """One split of a data module; ``config`` is what it was composed from."""
    if not hasattr(data, "take"):
        raise UserError(f"{name} holds pairs or two domains: name a data set of single images")
    if len(data.shape) != 3:
        raise UserError(f"{name} holds points, not images")
    count, pick = len(data.split(split)), partial(real_images, data, split)
    return Source(name, count, data.channels, pick, config, size=_size(data.shape[1:]))


def _size(shape: Iterable[int]) -> str:
    return "×".join(map(str, shape))


def in_channels(images: ImageSet, channels: int) -> ImageSet:
    """The same images in grey or in colour."""

    def converted(batch: Batch) -> Tensor:
        return with_channels(batch if isinstance(batch, Tensor) else batch(), channels)

    def load() -> Iterator[Batch]:
        found = images.load()
        for batch in found.split(256) if isinstance(found, Tensor) else found:
            yield partial(converted, batch)

    return replace(images, load=load, data_hash=f"{images.data_hash} in {channels} channels")
