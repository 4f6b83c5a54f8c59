"""Classification accuracy score of a run: images and labels for ``ClassAccuracy``."""

from dataclasses import replace

import torch
from torch import Tensor

from ganforge.metrics.class_scores import ClassAccuracy
from ganforge.metrics.features import Batch
from ganforge.metrics.protocol import Score
from ganforge.metrics.scorer import Origin, Scorer
from ganforge.metrics.statistics import ImageSet
from ganforge.metrics.train_cnn import Labelled
from ganforge.scoring.images import Source
from ganforge.utils.errors import UserError


def need_classes(
    metric: ClassAccuracy,
    name: str,
    fakes: ImageSet,
    training: Source | None,
    held_out: Source | None,
) -> None:
    """Raise a UserError, before anything is computed, if ``classifier`` asks for too much."""
    if fakes.labels is None:
        raise UserError(f"classifier=cas needs a class-conditional model: {name} is not")
    if training is None or held_out is None or not all(_labels(s) for s in (training, held_out)):
        raise UserError(
            "classifier=cas needs labelled images to learn from and to be tried on: leave real and "
            "held_out out, which takes the run's own"
        )
    metric.check(fakes.count, training.count)


def _labels(source: Source) -> bool:
    return source.count is not None and source.take(None, 0).labels is not None


def class_accuracy(
    metric: ClassAccuracy,
    fakes: ImageSet,
    training: Source,
    held_out: Source,
    scorer: Scorer,
    origin: Origin,
    seed: int,
) -> Score:
    """The score; ``need_classes`` has looked at what it needs."""
    made = _labelled(fakes)
    sets = {"train": training.take(len(made), seed), "test": held_out.take(None, seed)}
    value = metric(made, *map(_labelled, sets.values()))
    hashes = tuple((f"{split}_hash", images.data_hash) for split, images in sets.items())
    value = replace(value, settings=value.settings + hashes)
    return scorer.record(metric.name, value, len(made), True, origin)


def _labelled(images: ImageSet) -> Labelled:
    """The images of a set with their classes."""
    rows = torch.cat([_made(batch).cpu() for batch in images.batches()])
    return Labelled(rows, {"class": images.labels().long()})


def _made(batch: Batch) -> Tensor:
    return batch if isinstance(batch, Tensor) else batch()
