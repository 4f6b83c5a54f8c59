"""The Inception network of the FID papers: TensorFlow's weights and its reference resize."""

import io
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from ganforge.metrics.features import Features, check_images, with_channels
from ganforge.metrics.weights import Published
from ganforge.utils.errors import DamagedFileError
from ganforge.utils.files import file_sha256

ENVIRONMENT = "GANFORGE_INCEPTION"


class InceptionFeatures:
    """2048 pooled features and unbiased logits of torch-fidelity's port, for comparable FIDs.

    Weights are looked for in ``weights``, then ``$GANFORGE_INCEPTION``, then
    ``data_dir/weights/``; only if none is named they are downloaded into the last.
    """

    name = "inception-v3-compat"
    size = 299
    dim = 2048
    resize = "bilinear as in TensorFlow 1, no antialias"

    def __init__(
        self,
        weights: str | Path | None = None,
        data_dir: str | Path = ".",
        resizer: "CleanResize | None" = None,
    ) -> None:
        self.resizer = resizer
        if resizer is not None:
            self.resize = resizer.words
        path = find_weights(weights, Path(data_dir).expanduser() / "weights")
        self.sha256 = file_sha256(path)
        self.network = _load(path)

    def to(self, device: torch.device | str) -> Self:
        """Move the network to a device."""
        self.network.to(device)
        return self

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Features:
        """Return the 2048 pooled features and the 1008 logits without bias."""
        device = next(self.network.parameters()).device
        images = with_channels(check_images(images), 3).to(device)
        if self.resizer is not None:
            images = self.resizer(images, self.size)
        features, logits = self.network(images)
        return Features(features, logits)


class CleanResize:
    """The resize of clean-fid (Parmar et al. 2022): Pillow's bicubic filter, with antialias.

    The result is rounded, because torch-fidelity's network takes uint8; clean-fid goes on with
    floats. docs/results.md tells what that moves.
    """

    words = "bicubic, antialias, as in clean-fid, rounded"

    def __call__(self, images: Tensor, size: int) -> Tensor:
        """Resize uint8 images to ``size×size``."""
        if images.shape[-2:] == (size, size):
            return images
        floats = F.interpolate(images.float(), (size, size), mode="bicubic", antialias=True)
        return floats.round().clamp(0, 255).byte()


def url() -> str:
    """Where torch-fidelity publishes the weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return URL_INCEPTION_V3


def find_weights(weights: str | Path | None, folder: Path) -> Path:
    """Return the weights file, downloading it into ``folder`` if no place names one."""
    # The file's name ends in the beginning of its hash.
    digest = url().rsplit("-", 1)[1].split(".")[0]
    return Published("Inception", url(), ENVIRONMENT, digest).find(weights, folder)


def _load(path: Path) -> Any:
    """Build torch-fidelity's network from a file that may hold nothing but tensors."""
    from torch_fidelity import FeatureExtractorInceptionV3

    try:
        buffer = io.BytesIO()
        # The library unpickles without restriction: it gets a copy that was read with it.
        torch.save(torch.load(path, map_location="cpu", weights_only=True), buffer)
        buffer.seek(0)
        with torch.random.fork_rng(devices=[]):
            return FeatureExtractorInceptionV3(
                InceptionFeatures.name,
                ["2048", "logits_unbiased"],
                feature_extractor_weights_path=buffer,
            )
    except Exception as error:
        raise DamagedFileError(
            f"{path} does not hold the Inception weights {url().rsplit('/', 1)[1]}: "
            f"{str(error).splitlines()[0]}"
        ) from error
