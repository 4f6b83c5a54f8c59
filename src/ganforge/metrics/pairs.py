"""How near a translation is to the known truth, image by image: L1, PSNR, SSIM, LPIPS.

A metric is a small frozen object: ``name`` begins the score's name, ``higher_is_better`` tells
its sense, ``__call__(fake, truth, source)`` takes uint8 ``N×C×H×W`` and gives a float per image;
NaN where it is not defined for an image. The score is their mean, or what ``finish`` makes of it
where a metric has that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from ganforge.metrics.features import with_channels
from ganforge.utils.errors import UserError

EXACT_PSNR = 100.0  # what an image without any error counts, where the formula says infinity
LPIPS_WEIGHTS = "alexnet-owt-7be5be79.pth"


class PairMetric(Protocol):
    """A value for every pair; see the module's docstring."""

    name: ClassVar[str]
    higher_is_better: ClassVar[bool]

    def __call__(self, fake: Tensor, truth: Tensor, source: Tensor) -> Tensor:
        """Return one value an image."""
        ...


@dataclass(frozen=True)
class L1:
    """Mean absolute difference, of a 0–1 range."""

    name: ClassVar[str] = "l1_"
    higher_is_better: ClassVar[bool] = False

    def __call__(self, fake: Tensor, truth: Tensor, source: Tensor) -> Tensor:  # noqa: ARG002
        """0 is equal."""
        return _difference(fake, truth).mean((1, 2, 3))


@dataclass(frozen=True)
class ChangedL1:
    """The same inside the region that a translation has to change, or outside of it.

    The region is where source and truth differ by more than ``threshold`` in some channel: the
    glasses, for faces without and with them. An image without such pixels has no value.
    """

    inside: bool
    threshold: float = 8 / 255
    higher_is_better: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """``l1_changed`` or ``l1_unchanged``."""
        return "l1_changed" if self.inside else "l1_unchanged"

    def __call__(self, fake: Tensor, truth: Tensor, source: Tensor) -> Tensor:
        """0 is equal."""
        source = with_channels(source, truth.shape[1])
        changed = _difference(source, truth).amax(1, keepdim=True) > self.threshold
        mask = (changed if self.inside else ~changed).expand_as(truth)
        difference = _difference(fake, truth).where(mask, 0.0)
        return difference.sum((1, 2, 3)) / mask.sum((1, 2, 3))  # 0/0 is NaN


@dataclass(frozen=True)
class PSNR:
    """Peak signal-to-noise ratio in dB, of each image; nearly perfect images rule the mean."""

    name: ClassVar[str] = "psnr"
    higher_is_better: ClassVar[bool] = True

    def __call__(self, fake: Tensor, truth: Tensor, source: Tensor) -> Tensor:  # noqa: ARG002
        """An image without error counts ``EXACT_PSNR``."""
        from torchmetrics.functional.image import peak_signal_noise_ratio

        values = peak_signal_noise_ratio(
            fake.float(), truth.float(), data_range=255.0, reduction="none", dim=(1, 2, 3)
        )
        return values.clamp(max=EXACT_PSNR)


@dataclass(frozen=True)
class PooledPSNR:
    """PSNR in dB of the mean squared error over all images, as torchmetrics' class counts it."""

    name: ClassVar[str] = "psnr_pooled"
    higher_is_better: ClassVar[bool] = True

    def __call__(self, fake: Tensor, truth: Tensor, source: Tensor) -> Tensor:  # noqa: ARG002
        """The mean squared error, of a 0–1 range."""
        return _difference(fake, truth).square().mean((1, 2, 3))

    def finish(self, mean: float) -> float:
        """No error at all counts ``EXACT_PSNR``."""
        return min(-10 * math.log10(mean), EXACT_PSNR) if mean else EXACT_PSNR


@dataclass(frozen=True)
class SSIM:
    """Structural similarity (Wang et al. 2004): an 11×11 Gaussian window, σ 1.5."""

    name: ClassVar[str] = "ssim"
    higher_is_better: ClassVar[bool] = True

    def __call__(self, fake: Tensor, truth: Tensor, source: Tensor) -> Tensor:  # noqa: ARG002
        """1 is equal."""
        from torchmetrics.functional.image import structural_similarity_index_measure

        return structural_similarity_index_measure(
            fake.float(), truth.float(), data_range=255.0, reduction="none"
        )


@dataclass(frozen=True)
class LPIPS:
    """Learned perceptual distance (Zhang et al. 2018) by AlexNet, whose weights must be here."""

    name: ClassVar[str] = "lpips"
    higher_is_better: ClassVar[bool] = False

    def __call__(self, fake: Tensor, truth: Tensor, source: Tensor) -> Tensor:  # noqa: ARG002
        """0 is equal."""
        network = _lpips_network()
        pairs = [with_channels(images, 3).cpu().float() / 127.5 - 1 for images in (fake, truth)]
        with torch.inference_mode():
            return network(*pairs).flatten()


def lpips_weights() -> Path:
    """Where torchvision keeps AlexNet; it is fetched by nothing here."""
    return Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_WEIGHTS


def pair_metrics() -> tuple[list[PairMetric], list[str]]:
    """The metrics that can be computed on this machine, and notes on those that cannot."""
    region = [ChangedL1(inside) for inside in (True, False)]
    metrics: list[PairMetric] = [L1(), *region, PSNR(), PooledPSNR(), SSIM()]
    if lpips_weights().is_file():
        return [*metrics, LPIPS()], []
    return metrics, [f"LPIPS is left out: it needs AlexNet's weights in {lpips_weights()}"]


def measure_pairs(
    metric: PairMetric,
    fake: Sequence[Tensor],
    truth: Sequence[Tensor],
    source: Sequence[Tensor],
) -> float | None:
    """A metric over batches of pairs; None where it is defined for none of them."""
    values = [
        metric(with_channels(f, t.shape[1]), t, s)
        for f, t, s in zip(fake, truth, source, strict=True)
    ]
    mean = torch.cat(values).nanmean().item() if values else float("nan")
    if mean != mean:
        return None
    return metric.finish(mean) if hasattr(metric, "finish") else mean


def _difference(one: Tensor, other: Tensor) -> Tensor:
    """Absolute difference of uint8 images, of a 0–1 range."""
    if one.shape != other.shape:
        raise UserError(
            f"Images of shapes {tuple(one.shape)} and {tuple(other.shape)} are no pairs: both "
            "sides must have the same size."
        )
    return (one.float() - other.float()).abs() / 255


@cache
def _lpips_network() -> torch.nn.Module:
    from torchmetrics.functional.image.lpips import _LPIPS

    # Building it draws weights before it loads them: measuring must not move the global state.
    with torch.random.fork_rng():
        return _LPIPS(pretrained=True, net="alex").eval()
