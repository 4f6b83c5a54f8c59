"""Scores of class-conditional generators: FID within classes, and what a classifier learns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ganforge.metrics import bootstrap
from ganforge.metrics.comparison import Comparison, Value, need_images
from ganforge.metrics.features import with_channels
from ganforge.metrics.frechet import frechet_distance, moments
from ganforge.metrics.train_cnn import Labelled, Recipe, fit
from ganforge.utils.errors import UserError

SPLITS = 20  # into halves, for the interval
BATCH = 128


@dataclass(frozen=True)
class ClassFID:
    """Mean over classes of the FID between images of one class (intra-FID, Miyato & Koyama 2018).

    ``details`` has each class by its number. Classes have few images: compare equal counts only.
    """

    name: ClassVar[str] = "class_fid"
    paired: ClassVar[bool] = True

    def __call__(self, sides: Comparison) -> Value:
        """Lower is better."""
        fake = sides.fake
        if fake.labels is None or sides.real.labels is None:
            raise UserError(
                "FID by class needs a class-conditional model and labelled data: train with "
                "conditioning, or leave ganforge.metrics.class_scores.ClassFID out."
            )
        real, labels = sides.real.features.features, sides.real.labels
        classes = sorted(set(labels.tolist()))
        values, parts, fewest = {}, [], len(real)
        for number, truth, made in _by_class(real, labels, fake, classes):
            few = min(len(truth), len(made))
            need_images(few, 2, f"FID of class {number}")
            fewest, target = min(fewest, few), moments(truth)
            values[str(number)] = frechet_distance(target, moments(made))
            halves = bootstrap.halves(len(made), SPLITS, seed=number)
            told = [[frechet_distance(target, moments(made, h)) for h in pair] for pair in halves]
            parts.append(bootstrap.of_halves(np.array(told)))
        value, dim = float(np.mean(list(values.values()))), fake.features.shape[1]
        note = f"as few as {fewest} images of a class for {dim} features: FID is biased"
        return Value(
            value,
            notes=(note,) if fewest <= dim else (),
            interval=_interval(value, parts) if fewest >= 4 else None,
            details=values,
        )


def _interval(value: float, parts: Sequence[bootstrap.Parts]) -> bootstrap.Interval:
    """Of a mean over classes, which are independent."""
    first, second = (
        sum(getattr(part, order) for part in parts) / len(parts) ** 2
        for order in ("first", "second")
    )
    return bootstrap.Parts(first, second, SPLITS).interval(value)


def _by_class(
    real: Tensor, labels: Tensor, fake: object, classes: Sequence[int]
) -> Iterator[tuple[int, Tensor, Tensor]]:
    for number in classes:
        yield number, real[labels == number], fake.features[fake.labels == number]


@dataclass(frozen=True)
class ClassAccuracy:
    """Classification accuracy score (Ravuri & Vinyals 2019).

    A residual network is trained on generated images and their labels alone; its accuracy on real
    test images is the value. ``details["trained_on_real"]`` is that of the same recipe on as many
    real training images: the ceiling. Both come from one seed of training.
    """

    epochs: int = 8
    widths: Sequence[int] = (24, 48, 96)
    seed: int = 0
    name: ClassVar[str] = "class_accuracy"

    def check(self, made: int, real: int) -> None:
        """Raise a UserError if so many images are too few to train with."""
        need_images(min(made, real), BATCH, "the classification accuracy score")

    def __call__(self, made: Labelled, real: Labelled, test: Labelled) -> Value:
        """Higher is better; each set has one head, ``class``."""
        self.check(len(made), len(real))
        right = self._right(made, test)
        ceiling = float(self._right(real, test).mean())
        settings = (("epochs", self.epochs), ("widths", str(list(self.widths))))
        return Value(
            float(right.mean()),
            settings=(*settings, ("training_seed", self.seed)),
            interval=bootstrap.of_share(float(right.mean()), len(right)),
            details={"trained_on_real": ceiling, "n_test": len(test)},
        )

    def _right(self, train: Labelled, test: Labelled) -> np.ndarray:
        """For each test image, whether a classifier of ``train`` is right."""
        size, channels = train.images.shape[-1], train.images.shape[1]
        classes = int(max(train.targets["class"].max(), test.targets["class"].max())) + 1
        recipe = Recipe(
            size, tuple(self.widths), epochs=self.epochs, batch_size=BATCH, seed=self.seed
        )
        heads = {"class": [str(number) for number in range(classes)]}
        network = fit(train, heads, recipe, lambda epoch, loss: None)  # noqa: ARG005
        told = []
        with torch.inference_mode():
            for images in test.images.split(500):
                pixels = with_channels(images, channels).float().div(127.5).sub(1)
                told.append(network(pixels)["class"].argmax(1))
        return (torch.cat(told) == test.targets["class"]).numpy()
