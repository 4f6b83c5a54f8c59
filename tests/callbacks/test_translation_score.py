import json
from types import SimpleNamespace

import pytest
import torch

from ganforge.callbacks.judge import judge_of
from ganforge.callbacks.translation_score import TranslationDistance, TranslationQuality, mean_score
from ganforge.data.source import SPLITS
from ganforge.data.splits import SplitDataModule
from ganforge.data.store import Images
from ganforge.metrics.comparison import Metric, Value
from ganforge.metrics.frechet import frechet_distance, moments
from ganforge.metrics.scores import FID
from ganforge.utils.errors import UserError

COUNT = 40


class Domain(SplitDataModule):
    def __init__(self, seed, count=COUNT):
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        images = torch.randint(200, (count, 1, 8, 8), generator=rng, dtype=torch.uint8)
        self._opened = dict.fromkeys(SPLITS, Images(images, None, None, str(seed)))

    def setup(self, stage=None):
        pass


class Brighter(torch.nn.Module):
    """Adds 10 from A to B and 30 back."""

    translators = {"a_to_b": "forth", "b_to_a": "back"}  # noqa: RUF012
    images_seen = 1000
    device = torch.device("cpu")

    def players(self):
        return [self], []

    def translate(self, images, direction):
        torch.rand(())  # as dropout does
        return images + (10 if direction == "a_to_b" else 30)


class Pixels:
    """Every eighth pixel as a feature."""

    name, sha256, size, resize, dim = "pixels", "0" * 64, 8, "none", 8

    def to(self, device):
        return self

    def __call__(self, images):
        return SimpleNamespace(features=images.flatten(1).float()[:, ::8], logits=None)


@pytest.fixture
def trainer():
    domains = {"a": Domain(1), "b": Domain(2)}
    return SimpleNamespace(
        callbacks=[],
        loggers=[],
        is_global_zero=True,
        strategy=SimpleNamespace(broadcast=lambda value: value),
        datamodule=SimpleNamespace(
            domain=domains.__getitem__, domains=domains, pairs_in=lambda split: False
        ),
        global_step=20,
    )


def test_both_directions_and_their_mean_by_hand(trainer, tmp_path):
    quality = TranslationQuality(Pixels(), tmp_path / "scores.json", None, [FID()])
    trainer.callbacks = [quality]
    before = torch.get_rng_state()
    quality.on_train_end(trainer, Brighter())
    assert torch.equal(torch.get_rng_state(), before)
    both, there, back = quality.history
    a, b = (
        trainer.datamodule.domain(side).split("test").images.flatten(1).float()[:, ::8]
        for side in "ab"
    )
    assert there.value == pytest.approx(frechet_distance(moments(b), moments(a + 10)))
    assert back.value == pytest.approx(frechet_distance(moments(a), moments(b + 30)))
    assert both.value == pytest.approx((there.value + back.value) / 2)
    names = ["fid40_test_both", "fid40_test_a_to_b", "fid40_test_b_to_a"]
    assert [score.name for score in quality.history] == names
    assert judge_of(trainer).verdict == both
    assert quality.best.step == 20
    written = json.loads((tmp_path / "scores.json").read_text())
    assert [record["name"] for record in written] == names


def test_the_same_people_on_both_sides_are_another_score(trainer, tmp_path):
    """Against the truth of the translated images themselves, under a name of its own."""
    trainer.datamodule.pairs_in = lambda split: split == "test"
    quality = TranslationQuality(Pixels(), tmp_path / "scores.json", None, [FID()], n_images=30)
    quality.on_train_end(trainer, Brighter())
    _, there, _ = quality.history
    a, b = (
        trainer.datamodule.domain(side).split("test").images.flatten(1).float()[:30, ::8]
        for side in "ab"
    )
    assert there.value == pytest.approx(frechet_distance(moments(b), moments(a + 10)))
    assert there.name == "fid_tied30_test_a_to_b"
    assert (there.protocol.n_real, there.protocol.tied) == (30, True)


def test_the_target_of_unpaired_translations_is_the_whole_split(trainer, tmp_path):
    quality = TranslationQuality(Pixels(), tmp_path / "scores.json", None, [FID()], n_images=30)
    quality.on_train_end(trainer, Brighter())
    assert [(s.protocol.n_fake, s.protocol.n_real) for s in quality.history] == [(30, 40)] * 3


def test_pairs_are_measured_by_their_distance(trainer, tmp_path):
    """A constant difference of 51 of 255 is 0.2."""
    domains = trainer.datamodule.domains
    images = domains["a"].split("test").images
    domains["b"]._opened = dict.fromkeys(SPLITS, Images(images + 51, None, None, "b"))
    distance = TranslationDistance(tmp_path / "scores.json", n_images=30)
    module = Brighter()
    module.translators = {"a_to_b": "forth"}
    module.translate = lambda images, direction: images
    distance.on_train_end(trainer, module)
    (score,) = distance.history
    assert score.value == pytest.approx(0.2)
    assert score.name == "l1_30_test_a_to_b"
    assert (score.protocol.data_hash, score.protocol.ema) == ("b", False)


def test_the_mean_is_of_other_data_than_either_direction(trainer, tmp_path):
    distance = TranslationDistance(tmp_path / "scores.json")
    ways = distance.measure(trainer, Brighter(), 3)[1:]
    mean = mean_score(ways)
    assert mean.protocol.data_hash not in ("1", "2")
    assert mean.protocol.differences(ways[0].protocol).keys() == {"direction", "data_hash"}


def test_it_measures_at_the_end_alone_unless_asked(trainer, tmp_path):
    seldom = TranslationDistance(tmp_path / "a.json")
    often = TranslationDistance(tmp_path / "b.json", every_n_steps=10)
    for callback in (seldom, often):
        for step in range(1, 26):
            trainer.global_step = step
            callback.on_train_batch_end(trainer, Brighter(), None, None, step)
        callback.on_train_end(trainer, Brighter())
    assert [s.step for s in seldom.monitored] == [25]
    assert [s.step for s in often.monitored] == [10, 20, 25]


def test_too_few_test_images_are_told_and_stop_no_training(trainer, tmp_path, capsys):
    trainer.datamodule.domains["b"] = Domain(2, count=1)
    quality = TranslationQuality(Pixels(), tmp_path / "scores.json", None, [FID()])
    quality.on_train_start(trainer, Brighter())
    assert "there are 1 of b" in capsys.readouterr().err
    quality.on_train_end(trainer, Brighter())
    assert (quality.history, quality.best, quality.verdict) == ([], None, None)
    assert json.loads((tmp_path / "scores.json").read_text()) == []


def test_a_score_that_one_direction_cannot_have_has_no_mean(trainer, tmp_path):
    class OfGrey(Metric):
        """Has a value where the images are dark."""

        name, paired = "of_grey", False

        def __call__(self, sides):
            if sides.fake.features.mean() > 115:
                raise UserError("too bright")
            return Value(1.0)

    quality = TranslationQuality(Pixels(), tmp_path / "scores.json", None, [FID(), OfGrey()])
    quality.on_train_end(trainer, Brighter())
    assert [score.name for score in quality.history] == [
        "fid40_test_both", "fid40_test_a_to_b", "of_grey40_a_to_b", "fid40_test_b_to_a"
    ]  # fmt: skip
    assert quality.left_out == ["too bright"]
