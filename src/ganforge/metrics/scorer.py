"""From images to scores: features once, then every metric, each with its protocol."""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganforge import __version__
from ganforge.metrics.cnn import CNNFeatures
from ganforge.metrics.comparison import Comparison, Heads, Metric, Value
from ganforge.metrics.features import Batch, FeatureExtractor, Features, Progress, extract
from ganforge.metrics.protocol import NOISE, REAL, Protocol, Score, Settings
from ganforge.metrics.scores import FID, KID, FIDInfinity, InceptionScore
from ganforge.metrics.statistics import ImageSet, RealFeatures, real_features
from ganforge.utils.errors import GanforgeError, UserError

Bars = Callable[[str, int], Progress | None]
MOST_REAL = 50_000  # real images that a score looks at: the count of the papers
NOISE_BATCH = 250
LIBRARIES = ("torch", "torch-fidelity", "numpy", "scipy", "pillow")
DEFAULT_METRICS: tuple[Metric, ...] = (FID(), KID(), InceptionScore())
# What a metric may end with; it must not cost the others' values. numpy's LinAlgError is a
# ValueError, torch's a RuntimeError.
FAILURES = (GanforgeError, ArithmeticError, MemoryError, RuntimeError, ValueError)


class NoScoreError(UserError):
    """Of all metrics none has a value; the message is that of the first."""


def failure(what: str, error: BaseException) -> str:
    """Why a score is left out, in a sentence."""
    if isinstance(error, GanforgeError):
        return str(error)
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return f"{what} failed ({type(error).__name__}: {reason})"


def subject(data_hash: str, shape: Sequence[object]) -> Settings:
    """What tells scores that look at no real images apart: the data, and the images' shape."""
    return ("data", data_hash), ("shape", "×".join(map(str, shape)))


def library_versions(*more: str) -> tuple[tuple[str, str], ...]:
    """Versions that a score's last digits depend on; ``more`` are those of its network."""
    libraries = ((name, version(name)) for name in (*LIBRARIES, *more))
    return ("ganforge", __version__), ("python", platform.python_version()), *libraries


@dataclass(frozen=True)
class Origin:
    """Where scored images come from, as far as their scores must tell.

    ``seed`` chose the noise; the others are as in ``Protocol`` and ``Score``. The defaults are
    those of images that no trained model made. ``subject`` enters the settings of scores that look
    at no real images: the Inception Score of faces says nothing of that of digits.
    """

    ema: bool | None = None
    seed: int = 0
    step: int | None = None
    checkpoint: str = ""
    direction: str = ""
    run: str | None = None
    subject: Settings = ()


def uniform_noise(count: int, shape: Sequence[int]) -> ImageSet:
    """``count`` images of independent pixels, always the same ones."""

    def made(start: int) -> Tensor:
        rng, rows = torch.Generator().manual_seed(start), min(NOISE_BATCH, count - start)
        return torch.randint(0, 256, (rows, *shape), generator=rng, dtype=torch.uint8)

    told = f"uniform noise {'×'.join(map(str, shape))}"
    batches = [partial(made, start) for start in range(0, count, NOISE_BATCH)]
    return ImageSet(lambda: iter(batches), count, told, "noise")


class Scorer:
    """Scores generated images against one set of real ones; used by training and by evaluate.

    Features are extracted once and shared by all metrics. ``training`` and ``held_out`` are the
    whole splits that memorisation looks at; ``bars(what, total)`` may show progress; ``tied`` is
    that of ``Comparison``; ``data`` is the real data set's name, which tells a
    classifier of its own. ``compared`` is what memorisation looked at
    last. Nothing here reads or moves the global random state, so measuring never changes training.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        real: ImageSet,
        cache_dir: Path | str | None = None,
        metrics: Sequence[Metric] = DEFAULT_METRICS,
        device: torch.device | str = "cpu",
        batch_size: int = 256,
        training: ImageSet | None = None,
        held_out: ImageSet | None = None,
        bars: Bars = lambda what, total: None,  # noqa: ARG005
        tied: bool = False,
        data: str | None = None,
    ) -> None:
        self.extractor = extractor
        self.real = real
        self.cache_dir = cache_dir
        self.heads: Heads | None = None
        if isinstance(extractor, CNNFeatures) and extractor.metadata["data"] == data:
            self.heads = extractor.logits_of
        self.metrics = tuple(
            m for m in metrics if self.heads or not getattr(m, "reads_heads", False)
        )
        self.device = device
        self.batch_size = batch_size
        self.training = training
        self.held_out = held_out
        self.bars = bars
        self.tied = tied
        self._known: dict[str, RealFeatures] = {}
        self.compared: Comparison | None = None
        self._shape: tuple[int, ...] | None = None
        self._references: dict[tuple[Metric, int], dict[str, float]] = {}

    def features_of(self, images: ImageSet) -> RealFeatures:
        """Features of a set, from the cache where it has them."""
        key = images.key(self.extractor)
        if key not in self._known:
            bar = self.bars(f"features of {images.split}", images.count)
            self._known[key] = real_features(
                images, self.extractor, self.cache_dir, self.device, self.batch_size, bar
            )
        return self._known[key]

    @cached_property
    def real_features(self) -> RealFeatures:
        """Features of the real images."""
        return self.features_of(self.real)

    def score(
        self,
        fakes: Tensor | Iterable[Batch],
        origin: Origin = Origin(),
        progress: Progress | None = None,
    ) -> list[Score]:
        """Score uint8 images ``N×C×H×W``, given as one tensor or as batches, by every metric."""
        batches = fakes.split(self.batch_size) if isinstance(fakes, Tensor) else fakes
        fake = self._extract(batches, progress)
        sides = Comparison(fake=fake, **self._reals(), tied=self.tied, heads=self.heads)
        told = [(metric, self._beside(metric, metric(sides), len(fake))) for metric in self.metrics]
        return [self.record(m.name, value, len(fake), m.paired, origin) for m, value in told]

    def attempt(self, fakes: ImageSet, origin: Origin) -> tuple[list[Score], list[str]]:
        """Score a set by every metric that it allows, and tell of those that it does not.

        A metric that fails is left out, too. Raises what the first one says if none is left.
        """
        reals = self._reals()  # first: writing them into the cache takes memory for a moment
        bar = self.bars(f"features of {fakes.split}", fakes.count)
        told = self._extract(fakes.batches(), bar, fakes.count)
        labels = fakes.labels() if fakes.labels else None
        sides = Comparison(
            fake=Features(told.features, told.logits, labels),
            **reals,
            tied=self.tied,
            heads=self.heads,
        )
        self.compared = sides if self.training else None  # features take memory
        bar, scores, errors = self.bars("metrics", len(self.metrics)), [], []
        for metric in self.metrics:
            try:
                value = self._beside(metric, metric(sides), len(told))
            except FAILURES as error:
                errors.append(failure(metric.name, error))
                continue
            scores.append(self.record(metric.name, value, len(told), metric.paired, origin))
            if bar is not None:
                bar(1)
        if not scores:
            raise NoScoreError(errors[0] if errors else "There is no metric: choose metrics=all.")
        return scores, errors

    def _beside(self, metric: Metric, value: Value, count: int) -> Value:
        """The same with what real images and noise score in the place of generated ones."""
        if not metric.paired or self.tied:
            return value
        if (metric, count) not in self._references:
            self._references[metric, count] = dict(self._others(metric, count))
        return replace(value, details={**value.details, **self._references[metric, count]})

    def _others(self, metric: Metric, count: int) -> Iterator[tuple[str, float]]:
        """The score of ``count`` real images (at most half) against the others; and of noise."""
        features = self.real_features.features.features
        order = np.random.default_rng([self.real.seed, 1, len(features)]).permutation(len(features))
        chosen, others = np.split(order, [min(count, len(order) // 2)])
        images = replace(self.real, labels=None)
        rest = RealFeatures(Features(features[others], None), images=images)
        plain = replace(metric, replicates=0) if isinstance(metric, FID | FIDInfinity) else metric
        for name, real, fake in (
            (REAL, rest, features[chosen]),
            (NOISE, self.real_features, self._noise(count)),
        ):
            try:
                sides = Comparison(real, Features(fake, None), heads=self.heads)
                yield name, plain(sides).value
            except FAILURES:  # what needs labels, or other sets
                continue

    def _noise(self, count: int) -> Tensor:
        """Features of uniform noise in the shape of the real images, from the cache."""
        if self._shape is None:
            first = next(iter(self.real.batches()))
            self._shape = tuple((first if isinstance(first, Tensor) else first()).shape[1:])
        return self.features_of(uniform_noise(count, self._shape)).features.features

    def _extract(
        self, batches: Iterable[Batch], progress: Progress | None, count: int | None = None
    ) -> Features:
        """Features of generated images, and logits where a metric reads them."""
        read = any(getattr(metric, "reads_logits", False) for metric in self.metrics)
        where = self.device, self.batch_size
        return extract(self.extractor, batches, *where, progress, count, keep_logits=read)

    def _reals(self) -> dict[str, Any]:
        """Features of the real side, by their names in ``Comparison``."""
        paired = any(metric.paired for metric in self.metrics)
        return {
            "real": self.real_features if paired else None,
            "training": self.training and self.features_of(self.training),
            "held_out": self.held_out and self.features_of(self.held_out),
        }

    def record(self, name: str, value: Value, n_fake: int, paired: bool, origin: Origin) -> Score:
        """A value with the protocol that it was measured by."""
        real = self.real_features if paired else None
        protocol = Protocol(
            extractor=self.extractor.name,
            sha256=self.extractor.sha256,
            resize=self.extractor.resize,
            n_fake=n_fake,
            ema=origin.ema,
            n_real=0 if real is None else value.n_real or len(real),
            split=self.real.split if real else "",
            data_hash=self.real.data_hash if real else "",
            settings=value.settings if paired else value.settings + origin.subject,
            checkpoint=origin.checkpoint,
            direction=origin.direction,
            tied=paired and self.tied,
            seed=origin.seed,
            real_seed=self.real.seed if real else 0,
        )
        notes = value.notes + ((real.note,) if real and real.note else ())
        return Score(
            name,
            value.value,
            protocol,
            value.std,
            origin.step,
            origin.run,
            notes,
            library_versions(*getattr(self.extractor, "libraries", ())),
            interval=value.interval,
            details=tuple(value.details.items()),
        )
