"""Features of real images, computed once and kept on disk by what they depend on."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganforge.metrics.features import Batch, FeatureExtractor, Features, Progress, extract
from ganforge.metrics.frechet import Moments, moments
from ganforge.metrics.mmd import Sums, within
from ganforge.utils.errors import UserError
from ganforge.utils.files import atomic_path
from ganforge.utils.ranks import agree, world

log = logging.getLogger(__name__)
BATCH = 256
LAYOUT = 3  # raise it when the files of the cache change their meaning


@dataclass(frozen=True)
class ImageSet:
    """Images that are scored or scored against; ``load`` is called only on a cache miss.

    ``load`` returns the ``count`` images (uint8, one tensor or batches) that ``seed`` chose from
    ``split`` of the data whose content hash is ``data_hash``; ``drawn`` says how, where there is
    more than one way. ``labels`` returns their classes, int64 ``count``, in the same order; of a
    stream that takes as long as reading the images. ``whole``: these are all images of the split,
    in their order; ``seed`` then only chooses among their features (``Comparison.peers``).
    """

    load: Callable[[], Tensor | Iterable[Batch]]
    count: int
    data_hash: str
    split: str
    seed: int = 0
    labels: Callable[[], Tensor] | None = None
    drawn: str = ""
    whole: bool = False

    def batches(self) -> Iterable[Batch]:
        """The images, a batch at a time."""
        images = self.load()
        return images.split(BATCH) if isinstance(images, Tensor) else images

    def key(self, extractor: FeatureExtractor) -> str:
        """Name the cache entry: equal keys mean equal features."""
        parts: list[Any] = [LAYOUT, self.data_hash, self.split, self.count]
        parts += ["whole"] if self.whole else [self.seed, self.drawn]
        parts += [extractor.name, extractor.sha256, extractor.resize]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class RealFeatures:
    """Features of ``images`` and their moments; ``note`` tells of a rebuilt cache."""

    features: Features
    note: str | None = None
    images: ImageSet | None = None
    _kernels: dict[int, Sums] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance."""
        return moments(self.features.features)

    def kernel_within(self, most: int, peers: Tensor) -> Sums:
        """``mmd.within`` of the ``peers`` that at most ``most`` of these are, computed once."""
        if most not in self._kernels:
            self._kernels[most] = within(peers)
        return self._kernels[most]

    @property
    def seed(self) -> int | None:
        """What chooses among the images; None: features that came alone are taken as they are."""
        return self.images.seed if self.images else None

    @property
    def data_hash(self) -> str:
        """Content hash of the set which the images were chosen from."""
        return self.images.data_hash if self.images else ""

    @cached_property
    def labels(self) -> Tensor | None:
        """The classes of the images, where they are known."""
        return self.images.labels() if self.images and self.images.labels else None


def real_features(
    real: ImageSet,
    extractor: FeatureExtractor,
    cache_dir: Path | str | None,
    device: torch.device | str = "cpu",
    batch_size: int = 256,
    progress: Progress | None = None,
) -> RealFeatures:
    """Read the features of ``real`` from the cache, or compute and keep them.

    Logits are not kept: no metric reads those of real images. A damaged file is built anew,
    with a warning. Two processes at once write equal files, each atomically.
    ``cache_dir=None`` keeps nothing.
    """
    path = None if cache_dir is None else _path(Path(cache_dir), real, extractor)
    found, note = _look_up(path, real.count, extractor.dim)
    if not agree(found is not None):
        found = _extract(real, extractor, device, batch_size, progress)
        if path is not None and world()[0] == 0:
            _write(found, path)
    return RealFeatures(Features(found.features, None), note, real)


def _path(folder: Path, real: ImageSet, extractor: FeatureExtractor) -> Path:
    return folder.expanduser() / f"{real.key(extractor)}.safetensors"


def _look_up(path: Path | None, count: int, dim: int) -> tuple[Features | None, str | None]:
    """What the cache holds, and a note if that was damaged."""
    if path is None or not path.exists():
        return None, None
    try:
        return _read(path, count, dim), None
    except ValueError as error:
        note = f"the cached real features {path} were damaged ({error}) and are built anew"
        log.warning("%s", note)
        return None, note


def _extract(
    real: ImageSet,
    extractor: FeatureExtractor,
    device: torch.device | str,
    batch_size: int,
    progress: Progress | None,
) -> Features:
    features = extract(
        extractor, real.batches(), device, batch_size, progress, real.count, keep_logits=False
    )
    if len(features) != real.count:
        raise UserError(
            f"The {real.split} split gave {len(features)} real images where {real.count} were "
            "asked for: ask for as many as it has."
        )
    return features


def _write(features: Features, path: Path) -> None:
    from safetensors.torch import save_file

    tensors = {"features": features.features.contiguous()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"sha256": _digest(tensors["features"])})


def _digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy()).hexdigest()


def _read(path: Path, count: int, dim: int) -> Features:
    """Read a cache file; a ValueError says why it cannot be what was written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:  # maps: what is not looked at is not read
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            expected = (file.metadata() or {}).get("sha256")
    except (SafetensorError, OSError) as error:
        raise ValueError(str(error)) from error
    if "features" not in tensors or tensors["features"].shape != (count, dim):
        raise ValueError("it holds features of another shape")
    if _digest(tensors["features"]) != expected:
        raise ValueError("its checksum does not fit")
    return Features(tensors["features"], None)
