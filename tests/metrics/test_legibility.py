"""Legibility and what noise scores, by values that are known."""

import pytest
import torch

from ganforge.metrics.cnn import CNNFeatures
from ganforge.metrics.comparison import Comparison
from ganforge.metrics.features import Features
from ganforge.metrics.legibility import Legibility
from ganforge.metrics.protocol import NOISE, REAL
from ganforge.metrics.scorer import Scorer, uniform_noise
from ganforge.metrics.scores import FID
from ganforge.metrics.statistics import ImageSet, RealFeatures
from ganforge.utils.errors import UserError


def heads(features):
    """Two attributes: sure where a feature is 9 or more in logits; a third is never sure."""
    zero = torch.zeros(len(features))
    columns = {"eyes": features[:, 0], "hair": features[:, 1], "never": zero}
    return {name: torch.stack([zero, column], 1) for name, column in columns.items()}


def test_shares_over_those_of_real_images():
    real = Features(torch.tensor([[9.0, 9.0], [9.0, 9.0], [9.0, 9.0], [9.0, 0.0]]), None)
    fake = Features(torch.tensor([[9.0, 9.0], [-9.0, 0.0], [2.1, 0.0], [0.0, 0.0]]), None)
    told = Legibility()(Comparison(RealFeatures(real), fake, heads=heads))
    assert told.details == pytest.approx({"eyes": 2 / 4, "hair": (1 / 4) / (3 / 4)})
    assert told.value == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert Legibility()(Comparison(RealFeatures(real), real, heads=heads)).value == 1
    with pytest.raises(UserError, match="classifier of the data set"):
        Legibility()(Comparison(RealFeatures(real), fake))


def test_the_attributes_are_those_of_the_classifier():
    extractor, images = CNNFeatures("avatars"), uniform_noise(6, (3, 32, 32))
    pixels = torch.cat([make() for make in images.load()])
    told = extractor.logits_of(extractor(pixels).features)
    for name, logits in extractor.attributes(pixels).items():
        torch.testing.assert_close(told[name], logits, rtol=1e-4, atol=1e-4)


def test_beside_scores_stand_real_images_and_noise(tmp_path):
    rng = torch.Generator().manual_seed(0)
    dark = torch.randint(0, 30, (60, 3, 32, 32), generator=rng, dtype=torch.uint8)
    real = ImageSet(lambda: dark[:40], 40, "aa", "train", whole=True)
    extractor = CNNFeatures("avatars")
    scorer = Scorer(extractor, real, tmp_path, [FID(), Legibility()], data="avatars")
    fid, legibility = scorer.score(dark[40:])
    details = dict(fid.details)
    noise = torch.cat([make() for make in uniform_noise(20, (3, 32, 32)).load()])
    assert details[NOISE] == pytest.approx(scorer.score(noise)[0].value, rel=1e-6)
    assert fid.value < details[NOISE]
    assert details[REAL] < details[NOISE]
    assert {REAL, NOISE} <= set(dict(legibility.details))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2  # noise is read once for all runs
    other = Scorer(extractor, real, None, [FID(), Legibility()], data="faces")
    assert [score.metric for score in other.score(dark[40:])] == ["fid"]
