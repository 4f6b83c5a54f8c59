"""From features to scores: FID, Inception Score and KID by torch-fidelity, each with its protocol.

A metric is a small frozen object: its fields are its settings, ``name`` begins the score's name,
``paired`` says whether it looks at real images, ``__call__(real, fake)`` gives the value.
"""

import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from ganforge import __version__
from ganforge.metrics.features import FeatureExtractor, Features, Progress, extract
from ganforge.metrics.protocol import Protocol as ScoreProtocol
from ganforge.metrics.protocol import Score, Settings
from ganforge.metrics.statistics import RealFeatures, RealImages, real_features
from ganforge.utils.errors import UserError


@dataclass(frozen=True)
class Value:
    """What a metric says: the value, its own spread, the settings used, and warnings."""

    value: float
    std: float | None = None
    settings: Settings = ()
    notes: tuple[str, ...] = ()


class Metric(Protocol):
    """A value computed from features; see the module's docstring."""

    name: ClassVar[str]
    paired: ClassVar[bool]

    def __call__(self, real: RealFeatures | None, fake: Features) -> Value:
        """Compute the value; ``real`` is given if ``paired``."""
        ...


@dataclass(frozen=True)
class FID:
    """Fréchet distance of two Gaussians fitted to features (Heusel et al. 2017)."""

    name: ClassVar[str] = "fid"
    paired: ClassVar[bool] = True

    def __call__(self, real: RealFeatures, fake: Features) -> Value:
        """Lower is better; 0 is the distance of a set to itself."""
        from torch_fidelity.metric_fid import (
            KEY_METRIC_FID,
            fid_features_to_statistics,
            fid_statistics_to_metric,
        )

        few, dim = min(len(real), len(fake)), fake.features.shape[1]
        need_images(few, 2, "FID")
        moments = fid_features_to_statistics(fake.features)
        value = fid_statistics_to_metric(real.moments, moments, verbose=False)[KEY_METRIC_FID]
        too_few = f"{few} images for {dim} features: the covariance is singular, FID is biased"
        return Value(value, notes=(too_few,) if few <= dim else ())


@dataclass(frozen=True)
class KID:
    """Unbiased squared MMD with a cubic kernel over random subsets (Bińkowski et al. 2018).

    With fewer images than ``subset_size`` the subsets are as large as the smaller set, and the
    score's settings and notes say so.
    """

    subsets: int = 100
    subset_size: int = 1000
    rng_seed: int = 2020
    name: ClassVar[str] = "kid"
    paired: ClassVar[bool] = True

    def __call__(self, real: RealFeatures, fake: Features) -> Value:
        """Lower is better; slightly negative values are possible."""
        from torch_fidelity.metric_kid import (
            KEY_METRIC_KID_MEAN,
            KEY_METRIC_KID_STD,
            kid_features_to_metric,
        )

        few = min(len(real), len(fake))
        need_images(few, 2, "KID")
        size = min(self.subset_size, few)
        result = kid_features_to_metric(
            fake.features,
            real.features.features,
            kid_subsets=self.subsets,
            kid_subset_size=size,
            rng_seed=self.rng_seed,
            verbose=False,
        )
        small = f"subsets of {size} images, as there are no {self.subset_size}"
        return Value(
            result[KEY_METRIC_KID_MEAN],
            result[KEY_METRIC_KID_STD],
            tuple({**asdict(self), "subset_size": size}.items()),
            (small,) if size < self.subset_size else (),
        )


@dataclass(frozen=True)
class InceptionScore:
    """exp of the mean KL divergence of p(y|x) from p(y), over splits (Salimans et al. 2016)."""

    splits: int = 10
    rng_seed: int = 2020
    name: ClassVar[str] = "is"
    paired: ClassVar[bool] = False

    def __call__(self, real: RealFeatures | None, fake: Features) -> Value:  # noqa: ARG002
        """Higher is better; between 1 and the number of classes."""
        from torch_fidelity.metric_isc import (
            KEY_METRIC_ISC_MEAN,
            KEY_METRIC_ISC_STD,
            isc_features_to_metric,
        )

        if fake.logits is None:
            raise UserError(
                "This feature extractor has no class logits: leave the Inception Score out, or "
                "choose features=cnn or features=inception."
            )
        need_images(len(fake), self.splits, "the Inception Score")
        result = isc_features_to_metric(fake.logits, self.splits, rng_seed=self.rng_seed)
        settings = tuple(asdict(self).items())
        return Value(result[KEY_METRIC_ISC_MEAN], result[KEY_METRIC_ISC_STD], settings)


DEFAULT_METRICS: tuple[Metric, ...] = (FID(), KID(), InceptionScore())


def need_images(count: int, least: int, metric: str) -> None:
    """Raise a UserError if a metric has too few images to be defined."""
    if count < least:
        raise UserError(f"{metric} needs at least {least} images on each side, got {count}.")


def library_versions() -> tuple[tuple[str, str], ...]:
    """Versions that a score's last digits depend on."""
    libraries = ((name, version(name)) for name in ("torch", "torch-fidelity", "numpy"))
    return ("ganforge", __version__), ("python", platform.python_version()), *libraries


class Scorer:
    """Scores generated images against one set of real ones; used by training and by evaluate.

    Features are extracted once and shared by all metrics. Nothing here reads or moves the global
    random state, so measuring never changes training.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        real: RealImages,
        cache_dir: Path | str | None = None,
        metrics: Sequence[Metric] = DEFAULT_METRICS,
        device: torch.device | str = "cpu",
        batch_size: int = 256,
    ) -> None:
        self.extractor = extractor
        self.real = real
        self.cache_dir = cache_dir
        self.metrics = tuple(metrics)
        self.device = device
        self.batch_size = batch_size

    @cached_property
    def real_features(self) -> RealFeatures:
        """Features of the real images, from the cache where it has them."""
        return real_features(
            self.real, self.extractor, self.cache_dir, self.device, self.batch_size
        )

    def score(
        self,
        fakes: Tensor | Iterable[Tensor],
        ema: bool = True,
        seed: int = 0,
        step: int | None = None,
        progress: Progress | None = None,
    ) -> list[Score]:
        """Score uint8 images ``N×C×H×W``, given as one tensor or as batches.

        ``ema`` and ``seed`` say which weights and which noise made them; both enter the protocol.
        """
        batches = [fakes] if isinstance(fakes, Tensor) else fakes
        fake = extract(self.extractor, batches, self.device, self.batch_size, progress)
        return [self._measure(metric, fake, ema, seed, step) for metric in self.metrics]

    def _measure(
        self, metric: Metric, fake: Features, ema: bool, seed: int, step: int | None
    ) -> Score:
        real = self.real_features if metric.paired else None
        value = metric(real, fake)
        protocol = ScoreProtocol(
            extractor=self.extractor.name,
            sha256=self.extractor.sha256,
            resize=self.extractor.resize,
            n_fake=len(fake),
            ema=ema,
            n_real=len(real) if real else 0,
            split=self.real.split if real else "",
            data_hash=self.real.data_hash if real else "",
            settings=value.settings,
            seed=seed,
            real_seed=self.real.seed if real else 0,
        )
        notes = value.notes + ((real.note,) if real and real.note else ())
        return Score(
            metric.name, value.value, protocol, value.std, step, None, notes, library_versions()
        )
