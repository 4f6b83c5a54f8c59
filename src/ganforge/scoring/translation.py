"""Scores of a translator: both ways, against the truth where it is known."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ganforge.metrics.class_scores import ClassFID
from ganforge.metrics.comparison import Metric
from ganforge.metrics.coverage import Memorisation
from ganforge.metrics.features import FeatureExtractor
from ganforge.metrics.pairs import L1, measure_pairs, pair_metrics
from ganforge.metrics.protocol import Protocol, Score
from ganforge.metrics.scorer import library_versions
from ganforge.metrics.sets import targets
from ganforge.metrics.statistics import ImageSet
from ganforge.scoring.images import Source
from ganforge.scoring.score import score
from ganforge.trained.load import LoadedRun
from ganforge.utils.errors import UserError
from ganforge.utils.ranks import merge, share
from ganforge.utils.seeds import number

BATCH = 100
UNTOUCHED = "untouched_input"


@dataclass(frozen=True)
class Direction:
    """One direction on the first images of a split, uint8 batches, equally cut.

    ``truth`` holds what the translations should be, ``cycle`` the translations back, where known.
    """

    loaded: LoadedRun
    name: str
    split: str
    seed: int
    source: list[Tensor]
    translated: list[Tensor]
    truth: list[Tensor] | None
    cycle: list[Tensor] | None
    real: Source

    @property
    def fake(self) -> Source:
        """The translations."""
        made, way = self.translated, self.name
        count = sum(map(len, made))
        return Source(
            f"{self.loaded.run.folder.name}, {way}",
            count,
            made[0].shape[1],
            lambda n, seed: ImageSet(lambda: iter(made), count, "", way, seed),  # noqa: ARG005
            self.loaded.config,
            self.loaded,
            direction=way,
        )


class Translated(NamedTuple):
    """Scores by features, scores by pixels, and why others are not there."""

    scores: list[Score]
    pixels: list[Score]
    left_out: list[str]


def directions(
    loaded: LoadedRun, data: Any, split: str, count: int, seed: int
) -> Iterator[Direction]:
    """Translate the first ``count`` images of a split, and back where the model knows the way."""
    if count < 2:
        raise UserError(f"n={count} is too few: scores need at least 2 images")
    module = loaded.module
    for way in module.translators:
        here, there = way.split("_to_")
        source, truth = (
            list(data.domain(side).split(split).images[:count].split(BATCH))
            for side in (here, there)
        )

        def through(batches: list[Tensor], way: str) -> list[Tensor]:
            return _each(batches, lambda batch: module.translate(batch, way), seed)

        made, back = through(source, way), f"{there}_to_{here}"
        reals = targets(data, there, split, count)
        yield Direction(
            loaded,
            way,
            split,
            seed,
            source,
            made,
            truth if data.pairs_in(split) else None,
            through(made, back) if back in module.translators else None,
            Source(
                split,
                reals.count,
                data.domain(there).channels,
                lambda n, seed, reals=reals: reals,  # noqa: ARG005
            ),
        )


def _each(batches: list[Tensor], make: Callable[[Tensor], Tensor], seed: int) -> list[Tensor]:
    """Every batch translated; processes share them, and all get all."""
    made = []
    with torch.random.fork_rng():
        for index in share(range(len(batches))):
            # Of dropout: the same in any number of processes.
            torch.manual_seed(number(seed, 0, "noise at test", index))
            made.append(make(batches[index]).cpu())
    rows = merge(torch.cat(made) if made else None, [len(batch) for batch in made])
    return list(rows.split(BATCH))


def score_direction(
    way: Direction,
    features: FeatureExtractor | None,
    metrics: Sequence[Metric],
    cache_dir: Path,
) -> Translated:
    """FID, and others beside it, as test sets of translation are small; and distances of pixels."""
    pixels, left_out = _pixel_scores(way)
    metrics = [m for m in metrics if m.paired and not isinstance(m, ClassFID | Memorisation)]
    if features is None:
        left_out.append(
            "FID and KID are left out: choose features, as in features=efficientnet_lite0"
        )
    if features is None or not metrics:
        return Translated([], pixels, left_out)
    scores, errors, _ = score(
        way.fake,
        way.real,
        features=features,
        metrics=metrics,
        cache_dir=cache_dir,
        n_real=None,
        seed=way.seed,
        tied=way.truth is not None,
    )
    return Translated(scores, pixels, [*left_out, *errors])


def _pixel_scores(way: Direction) -> tuple[list[Score], list[str]]:
    """Distances to the truth where there is one, beside those of the untouched input; the cycle."""
    scores: list[Score] = []
    notes: list[str] = []
    source, truth, template = way.source, way.truth, _template(way)
    if truth is not None:
        metrics, notes = pair_metrics()
        for metric in metrics:
            value, untouched = (
                measure_pairs(metric, images, truth, source) for images in (way.translated, source)
            )
            if value is not None and untouched is not None:
                beside = ((UNTOUCHED, untouched),)
                scores.append(replace(template, metric=metric.name, value=value, details=beside))
    if way.cycle is not None:
        value = measure_pairs(L1(), way.cycle, source, source)
        beside = ((UNTOUCHED, 0.0),) if truth is not None else ()
        scores.append(replace(template, metric="cycle_l1_", value=value, details=beside))
    return scores, notes


def _template(way: Direction) -> Score:
    """The record that all scores of pixels fill."""
    count, loaded = sum(map(len, way.source)), way.loaded
    protocol = Protocol.of_pixels(
        count,
        ema=loaded.ema,
        split=way.split,
        data_hash=way.real.take(None, way.seed).data_hash,
        checkpoint=loaded.checkpoint,
        direction=way.name,
        seed=way.seed,
    )
    libraries = library_versions("torchmetrics", "torchvision")
    return Score("", 0.0, protocol, None, loaded.step, loaded.run.folder.name, (), libraries)
