"""The Inception network of the FID papers: TensorFlow's weights and its reference resize."""

import io
import os
import urllib.request
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from ganforge.metrics.features import Features, check_images, with_channels
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.files import atomic_path, file_sha256

ENVIRONMENT = "GANFORGE_INCEPTION"
TIMEOUT_SECONDS = 20


class InceptionFeatures:
    """2048 pooled features and unbiased logits of torch-fidelity's port, for comparable FIDs.

    Weights are looked for in ``weights``, then ``$GANFORGE_INCEPTION``, then
    ``data_dir/weights/``; only if none is named they are downloaded into the last.
    """

    name = "inception-v3-compat"
    size = 299
    dim = 2048
    resize = "bilinear as in TensorFlow 1, no antialias"

    def __init__(self, weights: str | Path | None = None, data_dir: str | Path = ".") -> None:
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
        features, logits = self.network(with_channels(check_images(images), 3).to(device))
        return Features(features, logits)


def url() -> str:
    """Where torch-fidelity publishes the weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return URL_INCEPTION_V3


def find_weights(weights: str | Path | None, folder: Path) -> Path:
    """Return the weights file, downloading it into ``folder`` if no place names one."""
    named = weights or os.environ.get(ENVIRONMENT)
    if named:
        path = Path(named).expanduser()
        if path.is_file():
            return path
        origin = "features.weights" if weights else ENVIRONMENT
        raise UserError(f"There is no Inception weights file {path}, which {origin} names.")
    path = folder / url().rsplit("/", 1)[1]
    if not path.is_file():
        _download(path)
    return path


def _download(path: Path) -> None:
    """Fetch the weights and check them against the hash in their name."""
    try:
        with atomic_path(path) as temporary:
            with (
                urllib.request.urlopen(url(), timeout=TIMEOUT_SECONDS) as reply,
                temporary.open("wb") as file,
            ):
                while block := reply.read(1 << 20):
                    file.write(block)
            if not file_sha256(temporary).startswith(path.stem.rsplit("-", 1)[1]):
                raise OSError("what came is not the file that its name promises")
    except OSError as error:
        raise UserError(
            f"The Inception weights {path.name} are neither in {path.parent} nor can they be "
            f"downloaded ({error}): fetch {url()} elsewhere and put the file into {path.parent} "
            f"(or name it by features.weights=PATH or {ENVIRONMENT}), or choose an extractor that "
            "needs no download: features=cnn or features=efficientnet_lite0."
        ) from error


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
