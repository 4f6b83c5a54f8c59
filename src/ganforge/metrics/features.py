"""The one thing that every score starts from: features of uint8 images."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from ganforge.utils.errors import UserError

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Features:
    """Features float32 ``N×D`` and logits float32 ``N×K`` (None where the network has none)."""

    features: Tensor
    logits: Tensor | None

    def __len__(self) -> int:
        return len(self.features)


class FeatureExtractor(Protocol):
    """A pretrained network: uint8 ``N×C×H×W`` (C 1 or 3, any size) to features.

    ``sha256`` is the hash of its weights, ``size`` its input side, ``resize`` how images get
    there, in words, and ``dim`` the number of features.
    """

    name: str
    sha256: str
    size: int
    resize: str
    dim: int

    def __call__(self, images: Tensor) -> Features:
        """Return the features of one batch, on the extractor's device."""
        ...

    def to(self, device: torch.device | str) -> Self:
        """Move the network to a device."""
        ...


def check_images(images: Tensor) -> Tensor:
    """Return ``images`` if they are uint8 ``N×C×H×W`` with C 1 or 3, or raise a UserError."""
    if images.dtype != torch.uint8:
        raise UserError(
            f"Scores need uint8 images in [0, 255], not {images.dtype}: convert them with "
            "ganforge.utils.images.to_uint8, which clamps and rounds."
        )
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise UserError(
            f"Scores need images of shape N×C×H×W with 1 or 3 channels, not {tuple(images.shape)}."
        )
    return images


def with_channels(images: Tensor, channels: int) -> Tensor:
    """Repeat grey to colour, or weigh colour to grey (ITU-R 601, rounded); uint8 in and out."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device)
    return torch.einsum("nchw,c->nhw", images.float(), weights).round().byte()[:, None]


@torch.inference_mode()
def extract(
    extractor: FeatureExtractor,
    batches: Iterable[Tensor],
    device: torch.device | str = "cpu",
    batch_size: int = 256,
    progress: Progress | None = None,
) -> Features:
    """Stream uint8 batches of any length through ``extractor``; the features come back on the CPU.

    The network sees at most ``batch_size`` images at once; ``progress`` is told each such count.
    """
    extractor.to(device)
    features: list[Tensor] = []
    logits: list[Tensor] = []
    for batch in batches:
        for images in check_images(batch).split(batch_size):
            out = extractor(images.to(device))
            features.append(out.features.float().cpu())
            if out.logits is not None:
                logits.append(out.logits.float().cpu())
            if progress is not None:
                progress(len(images))
    if not features:
        raise UserError("There is no image to extract features from.")
    return Features(torch.cat(features), torch.cat(logits) if logits else None)
