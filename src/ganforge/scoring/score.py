"""Score images against images, whoever made them: the one way from two sources to scores."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ganforge.metrics.class_scores import ClassAccuracy, ClassFID
from ganforge.metrics.comparison import Metric
from ganforge.metrics.coverage import Memorisation
from ganforge.metrics.features import FeatureExtractor
from ganforge.metrics.protocol import Score
from ganforge.metrics.scorer import FAILURES, MOST_REAL, Bars, Scorer, failure, subject
from ganforge.metrics.statistics import ImageSet
from ganforge.scoring.class_accuracy import class_accuracy, need_classes
from ganforge.scoring.copies import nearest_pairs
from ganforge.scoring.images import Source, in_channels
from ganforge.scoring.path_length import path_length
from ganforge.utils.errors import UserError


class Results(NamedTuple):
    """Scores, sentences that say what was left out and why, and a picture of possible copies.

    ``copies`` is uint8 ``C×H×W``: the generated images nearest to training images, above these.
    """

    scores: list[Score]
    left_out: list[str]
    copies: Tensor | None = None


@dataclass(frozen=True)
class Sides:
    """What is compared: images chosen on both sides, and whole splits for memorisation."""

    fakes: ImageSet
    reals: ImageSet
    training: ImageSet | None
    held_out: ImageSet | None


def score(
    fake: Source,
    real: Source,
    *,
    features: FeatureExtractor,
    metrics: Sequence[Metric],
    cache_dir: Path | None,
    n: int | None = None,
    n_real: int | None = MOST_REAL,
    seed: int = 2020,
    training: Source | None = None,
    held_out: Source | None = None,
    channels: int | None = None,
    tied: bool = False,
    path_pairs: int = 0,
    classifier: ClassAccuracy | None = None,
    device: torch.device | str = "cpu",
    bars: Bars = lambda what, total: None,  # noqa: ARG005
) -> Results:
    """Score ``n`` images of ``fake`` against ``n_real`` of ``real``, at most all; None: all.

    Of a generator as many images are made as of the other side, or ``n``. ``training`` and
    ``held_out`` are what memorisation looks at. ``channels`` 1 compares in grey, 3 in colour.
    ``tied``: image i of both sides belongs together. ``path_pairs`` and ``classifier`` measure
    a generator by itself. A metric that fails is left out; a UserError is raised if none is left.
    """
    sides = choose(fake, real, n, n_real, seed, training, held_out, channels)
    if classifier is not None:
        need_classes(classifier, fake.name, sides.fakes, training, held_out)
    scorer = Scorer(
        features,
        sides.reals,
        cache_dir,
        [m for m in metrics if _applies(m, sides)],
        device=fake.loaded.module.device if fake.loaded else device,
        training=sides.training,
        held_out=sides.held_out,
        bars=bars,
        tied=tied,
        data=real.data,
    )
    about = subject(
        (sides.training or sides.reals).data_hash, (channels or fake.channels, fake.size)
    )
    origin = replace(fake.origin(seed), subject=about)
    scores, left_out = scorer.attempt(sides.fakes, origin)
    copies = None
    with _kept(left_out, "path length"):
        if fake.loaded and path_pairs:
            scores.append(path_length(fake.loaded, scorer, origin, path_pairs, seed))
    with _kept(left_out, "class accuracy"):
        if classifier:
            scores.append(
                class_accuracy(classifier, sides.fakes, training, held_out, scorer, origin, seed)
            )
    with _kept(left_out, "the picture of copies"):  # as of images of many sizes
        if any(one.metric == Memorisation.name for one in scores):
            copies = nearest_pairs(scorer.compared, sides.fakes, sides.training)
    return Results(scores, left_out, copies)


@contextmanager
def _kept(left_out: list[str], name: str) -> Iterator[None]:
    """What fails in the block is left out by name: the scores so far are not lost."""
    try:
        yield
    except FAILURES as error:
        left_out.append(failure(name, error))


def _applies(metric: Metric, sides: Sides) -> bool:
    """No word is lost on classes where no model makes any."""
    return not isinstance(metric, ClassFID) or sides.fakes.labels is not None


def choose(
    fake: Source,
    real: Source,
    n: int | None,
    n_real: int | None,
    seed: int,
    training: Source | None = None,
    held_out: Source | None = None,
    channels: int | None = None,
) -> Sides:
    """Both sides' images; a real side that is a generator makes as many as the other."""
    chosen = [
        fake.take(n, seed),
        real.take(n if real.count is None else n_real, seed),
        *(source and source.take(None, seed) for source in (training, held_out)),
    ]
    if channels is not None:
        if channels not in (1, 3):
            raise UserError(f"channels={channels} is neither 1 (grey) nor 3 (colour)")
        chosen = [images and in_channels(images, channels) for images in chosen]
    elif fake.channels != real.channels:
        words = {1: "grey", 3: "in colour"}
        raise UserError(
            f"{fake.name} is {words[fake.channels]} and {real.name} {words[real.channels]}: "
            "channels=1 compares both in grey, channels=3 both in colour"
        )
    return Sides(*chosen)
