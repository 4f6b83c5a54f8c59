import numpy as np
import pytest
import torch

from ganforge.metrics.class_scores import ClassAccuracy, ClassFID
from ganforge.metrics.comparison import Comparison
from ganforge.metrics.features import Features
from ganforge.metrics.frechet import frechet_distance, moments
from ganforge.metrics.statistics import ImageSet, RealFeatures
from ganforge.metrics.train_cnn import Labelled
from ganforge.utils.errors import UserError


def labelled(count, means, seed):
    """Features of class ``c`` around ``means[c]``, the classes in turn."""
    labels = torch.arange(count) % len(means)
    noise = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return Features(noise + torch.tensor(means)[labels][:, None], None, labels)


def compared(real, fake):
    images = ImageSet(lambda: [], len(real), "hash", "train", labels=lambda: real.labels)
    return Comparison(RealFeatures(real, images=images), fake)


def test_the_mean_over_classes_of_fid_within_each():
    real, fake = labelled(300, [0.0, 5.0, 9.0], 0), labelled(240, [0.5, 5.0, 7.0], 1)
    told = ClassFID()(compared(real, fake))
    by_hand = [
        frechet_distance(*(moments(side.features[side.labels == c]) for side in (real, fake)))
        for c in range(3)
    ]
    assert [told.details[str(c)] for c in range(3)] == pytest.approx(by_hand)
    assert told.value == pytest.approx(np.mean(by_hand))
    assert told.interval[0] < told.value < told.interval[1]


def test_it_sees_classes_that_are_mixed_up_where_fid_does_not():
    real, fake = labelled(400, [0.0, 5.0], 0), labelled(400, [5.0, 0.0], 1)
    assert ClassFID()(compared(real, fake)).value > 50
    together = frechet_distance(moments(real.features), moments(fake.features))
    assert together < 1


def test_missing_labels_and_missing_classes_are_refused():
    real, fake = labelled(30, [0.0, 5.0, 9.0], 0), labelled(20, [0.0, 5.0], 1)
    with pytest.raises(UserError, match="FID of class 2 needs at least 2 images"):
        ClassFID()(compared(real, fake))
    with pytest.raises(UserError, match="class-conditional model"):
        ClassFID()(compared(real, Features(fake.features, None)))


def test_few_images_of_a_class_are_noted():
    told = ClassFID()(compared(labelled(8, [0.0, 5.0], 0), labelled(8, [0.0, 5.0], 1)))
    assert told.notes == ("as few as 4 images of a class for 4 features: FID is biased",)


def bright_or_dark(count, seed, swapped=False):
    """Class 0 is dark, class 1 bright; swapped, the labels lie."""
    labels = torch.arange(count) % 2
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 100, (count, 1, 16, 16), generator=rng) + 150 * labels.view(
        -1, 1, 1, 1
    )
    return Labelled(images.byte(), {"class": 1 - labels if swapped else labels})


def test_a_classifier_learns_what_the_generator_made():
    metric = ClassAccuracy(epochs=3, widths=(4, 8))
    state = torch.get_rng_state()
    test = bright_or_dark(200, 2)
    good = metric(bright_or_dark(512, 0), bright_or_dark(512, 1), test)
    bad = metric(bright_or_dark(512, 0, swapped=True), bright_or_dark(512, 1), test)
    assert good.value >= 0.95
    assert bad.value <= 0.05
    assert bad.details["trained_on_real"] == good.details["trained_on_real"] >= 0.95
    assert bad.interval[0] <= bad.value <= bad.interval[1]
    assert torch.equal(state, torch.get_rng_state())
    with pytest.raises(UserError, match="needs at least 128 images"):
        metric(bright_or_dark(100, 0), bright_or_dark(512, 1), test)
