"""The one thing that every score starts from: features of uint8 images."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from ganforge.utils.errors import UserError
from ganforge.utils.ranks import merge, share, world

Progress = Callable[[int], None]
Batch = Tensor | Callable[[], Tensor]


@dataclass(frozen=True)
class Features:
    """Features float32 ``N×D`` and logits float32 ``N×K`` (None where the network has none).

    ``labels`` int64 ``N`` are the images' classes, where they are known.
    """

    features: Tensor
    logits: Tensor | None
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.features)


class FeatureExtractor(Protocol):
    """A pretrained network: uint8 ``N×C×H×W`` (C 1 or 3, any size) to features.

    ``sha256`` is the hash of its weights, ``size`` its input side, ``resize`` how images get
    there, in words, and ``dim`` the number of features. ``libraries``, which it need not have,
    names the packages whose code it runs, where those are not everyone's.
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


class _Rows:
    """Rows that come in batches; their place is made once where the number is known."""

    def __init__(self, count: int | None) -> None:
        self.count, self.filled = count, 0
        self.parts: list[Tensor] = []

    def add(self, rows: Tensor) -> None:
        rows = rows.float().cpu()
        if self.count is None:
            self.parts.append(rows)
            return
        if not self.parts:
            self.parts = [torch.empty(self.count, *rows.shape[1:])]
        if self.filled + len(rows) > self.count:
            raise UserError(f"More than the {self.count} images came that were announced.")
        self.parts[0][self.filled : self.filled + len(rows)] = rows
        self.filled += len(rows)

    def all(self) -> Tensor | None:
        if self.count is not None and self.parts:
            return self.parts[0][: self.filled]
        return torch.cat(self.parts) if self.parts else None


@torch.inference_mode()
def extract(
    extractor: FeatureExtractor,
    batches: Iterable[Batch],
    device: torch.device | str = "cpu",
    batch_size: int = 256,
    progress: Progress | None = None,
    count: int | None = None,
    keep_logits: bool = True,
) -> Features:
    """Stream uint8 batches of any length through ``extractor``; the features come back on the CPU.

    The network sees at most ``batch_size`` images at once; ``progress`` is told each such count.
    ``count``, where it is known, saves a second copy in memory, and ``keep_logits=False`` logits
    that nobody reads. A batch may be a function that makes it: under several processes each makes
    and reads its share, and all return the same.
    """
    extractor.to(device)
    expected = count if world() == (0, 1) else None
    features, logits, lengths = _Rows(expected), _Rows(expected), []
    for batch in share(batches):
        made = batch if isinstance(batch, Tensor) else batch()
        for images in check_images(made).split(batch_size):
            out = extractor(images.to(device))
            features.add(out.features)
            if keep_logits and out.logits is not None:
                logits.add(out.logits)
            if progress is not None:
                progress(len(images))
        lengths.append(len(made))
    rows = merge(features.all(), lengths)
    if rows is None:
        raise UserError("There is no image to extract features from.")
    return Features(rows, merge(logits.all(), lengths))
