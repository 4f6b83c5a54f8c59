"""Features of real images, computed once and kept on disk by what they depend on."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganforge.metrics.features import FeatureExtractor, Features, Progress, extract
from ganforge.utils.errors import UserError
from ganforge.utils.files import atomic_path

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RealImages:
    """Which real images a score is measured against; ``load`` is called only on a cache miss.

    ``load`` returns the ``count`` images (uint8, one tensor or batches) that ``seed`` chose from
    ``split`` of the data whose content hash is ``data_hash``.
    """

    load: Callable[[], Tensor | Iterable[Tensor]]
    count: int
    data_hash: str
    split: str
    seed: int = 0

    def key(self, extractor: FeatureExtractor) -> str:
        """Name the cache entry: equal keys mean equal features."""
        parts = [self.data_hash, self.split, self.count, self.seed]
        parts += [extractor.name, extractor.sha256, extractor.resize]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class RealFeatures:
    """Features of real images and their moments; ``note`` tells of a rebuilt cache."""

    features: Features
    note: str | None = None

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def moments(self) -> dict[str, np.ndarray]:
        """Mean and covariance, as torch-fidelity computes them."""
        from torch_fidelity.metric_fid import fid_features_to_statistics

        return fid_features_to_statistics(self.features.features)


def real_features(
    real: RealImages,
    extractor: FeatureExtractor,
    cache_dir: Path | str | None,
    device: torch.device | str = "cpu",
    batch_size: int = 256,
    progress: Progress | None = None,
) -> RealFeatures:
    """Read the features of ``real`` from the cache, or compute and keep them.

    A damaged file is built anew, with a warning. Two processes at once write equal files, each
    atomically. ``cache_dir=None`` keeps nothing.
    """
    file = f"{real.key(extractor)}.safetensors"
    path = None if cache_dir is None else Path(cache_dir).expanduser() / file
    note = None
    if path is not None and path.exists():
        try:
            return RealFeatures(_read(path, real.count, extractor.dim))
        except ValueError as error:
            note = f"the cached real features {path} were damaged ({error}) and are built anew"
            log.warning("%s", note)
    images = real.load()
    batches = [images] if isinstance(images, Tensor) else images
    features = extract(extractor, batches, device, batch_size, progress)
    if len(features) != real.count:
        raise UserError(
            f"The {real.split} split gave {len(features)} real images where {real.count} were "
            "asked for: ask for as many as it has."
        )
    if path is not None:
        _write(features, path)
    return RealFeatures(features, note)


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy())
    return digest.hexdigest()


def _write(features: Features, path: Path) -> None:
    from safetensors.torch import save_file

    tensors = {"features": features.features.contiguous()}
    if features.logits is not None:
        tensors["logits"] = features.logits.contiguous()
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"sha256": _digest(tensors)})


def _read(path: Path, count: int, dim: int) -> Features:
    """Read a cache file; a ValueError says why it cannot be what was written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            expected = (file.metadata() or {}).get("sha256")
    except (SafetensorError, OSError) as error:
        raise ValueError(str(error)) from error
    if "features" not in tensors or tensors["features"].shape != (count, dim):
        raise ValueError("it holds features of another shape")
    if _digest(tensors) != expected:
        raise ValueError("its checksum does not fit")
    return Features(tensors["features"], tensors.get("logits"))
