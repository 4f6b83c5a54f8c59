"""One function from two sources to scores, as a notebook calls it."""

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.metrics.cnn import CNNFeatures
from ganforge.metrics.coverage import Memorisation
from ganforge.metrics.scorer import Scorer
from ganforge.metrics.scores import FID, KID, InceptionScore
from ganforge.scoring.features import fitting_features, need_features
from ganforge.scoring.images import open_source
from ganforge.scoring.score import score
from ganforge.utils.errors import UserError


@pytest.fixture
def opened(tmp_path):
    rng = np.random.default_rng(0)
    for name, count in {"fake": 12, "real": 20, "held": 6}.items():
        (tmp_path / name).mkdir()
        for i in range(count):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i:02}.png")
    return {
        name: open_source(str(tmp_path / name), data_dir=tmp_path / "data")
        for name in ("fake", "real", "held")
    }


def test_images_are_scored_without_a_command(opened, tmp_path):
    extractor = CNNFeatures("avatars")
    fake, real, held_out = opened["fake"], opened["real"], opened["held"]
    scores, left_out, copies = score(
        fake, real, features=extractor, metrics=[FID(), InceptionScore(), Memorisation()],
        cache_dir=tmp_path / "cache", n=9, seed=3, training=real, held_out=held_out,
    )  # fmt: skip
    assert [s.name for s in scores] == ["fid9_real", "memorisation9_real"]
    assert left_out == ["the Inception Score needs at least 10 images on each side, got 9."]
    made = torch.cat([make() for make in fake.take(9, 3).load()])
    shown = torch.stack([copies[:, 2 + 34 * row : 34 + 34 * row, 2:34] for row in range(2)])
    first = [i for i in range(9) if torch.equal(made[i], shown[0])]
    trained = torch.cat([make() for make in real.take(None, 3).load()])
    apart = torch.cdist(extractor(made).features, extractor(trained).features)
    assert apart[first[0]].min().item() == pytest.approx(apart.min().item(), rel=1e-3)
    assert torch.equal(shown[1], trained[apart[first[0]].argmin()])
    by_hand = Scorer(extractor, real.take(None, 3), None, [FID()])
    images = torch.cat([make() for make in fake.take(9, 3).load()])
    assert scores[0].value == pytest.approx(by_hand.score(images)[0].value, rel=1e-9)
    assert list((tmp_path / "cache").glob("*.safetensors"))


def test_a_data_set_is_opened_and_its_features_found_without_a_command(opened, tmp_path):
    with pytest.raises(UserError, match="no split 'tset'"):
        open_source("avatars:tset", data_dir=tmp_path)
    fake, real = opened["fake"], opened["real"]
    assert fitting_features(None, fake, real, tmp_path) is None
    with pytest.raises(UserError, match="choose the features"):
        need_features(None, fake, real, tmp_path)
    assert need_features("cnn_cifar10", fake, real, tmp_path).name == "cnn-cifar10"
    scores, *_ = score(
        fake, real, features=need_features("cnn_cifar10", fake, real, tmp_path),
        metrics=[KID()], cache_dir=None, n_real=5, channels=1,
    )  # fmt: skip
    assert scores[0].protocol.n_real == 5
    assert scores[0].protocol.data_hash.endswith("in 1 channels")
