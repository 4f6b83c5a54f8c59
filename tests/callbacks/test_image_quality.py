import json

import pytest
import torch
from lightning.pytorch import Callback

from ganforge.callbacks.ema import EMA
from ganforge.callbacks.loggers import JsonlLogger
from ganforge.callbacks.sample_grid import SampleGrid
from ganforge.data.source import SPLITS
from ganforge.data.store import Images
from ganforge.metrics.class_scores import ClassFID
from ganforge.metrics.coverage import Coverage, Density, Memorisation, Precision, Recall
from ganforge.metrics.scorer import Scorer
from ganforge.metrics.scores import FID, KID, FIDInfinity, InceptionScore
from ganforge.metrics.sets import fake_batches, real_images
from ganforge.utils.errors import UserError
from ganforge.utils.images import to_uint8


@pytest.mark.parametrize("networks", ["mlp", "dcgan"])
def test_watching_does_not_change_training(
    networks,
    tiny_gan,
    tiny_data,
    tiny_trainer,
    image_quality,
    weights,
    assert_same_weights,
    tmp_path,
):
    """Grid, scores and averages read the generator and leave no trace in it, to the last bit."""
    shape = (1, 8, 8) if networks == "mlp" else (1, 32, 32)
    quality = image_quality(metrics=[FID(), KID()], every_n_steps=1)
    quality.features.dim = 8 if networks == "mlp" else 128
    results = []
    for callbacks in ([], [EMA(), SampleGrid(tmp_path, every_n_steps=1), quality]):
        module = tiny_gan(networks=networks)
        trainer = tiny_trainer(max_steps=4, callbacks=callbacks)
        trainer.fit(module, datamodule=tiny_data(shape=shape))
        results.append((weights(module), torch.get_rng_state(), module.noise.get_state()))
    (plain, *states), (watched, *watched_states) = results
    assert_same_weights(plain, watched)
    for a, b in zip(states, watched_states, strict=True):
        assert torch.equal(a, b)
    assert len(quality.history) == 5 * 2


def test_scores_reach_file_and_loggers(tiny_gan, tiny_data, tiny_trainer, image_quality, tmp_path):
    quality = image_quality(split="test")
    path = tmp_path / "metrics.jsonl"
    trainer = tiny_trainer(max_steps=3, callbacks=[EMA(), quality], logger=JsonlLogger(path))
    trainer.fit(tiny_gan(), datamodule=tiny_data())
    written = json.loads((tmp_path / "scores.json").read_text())
    assert [record["step"] for record in written] == [0, 2, 3]
    assert [record["value"] for record in written] == [s.value for s in quality.history]
    protocol = written[0]["protocol"]
    assert protocol["ema"] is True
    assert (protocol["n_fake"], protocol["n_real"], protocol["split"]) == (24, 32, "test")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    logged = [(r["step"], r["scores/fid24_test"]) for r in records if "scores/fid24_test" in r]
    assert logged == [(s.step, s.value) for s in quality.history]


def test_the_real_side_is_the_whole_split_or_so_many_of_it(
    tiny_gan, tiny_data, tiny_trainer, image_quality
):
    """Few real images are as wrong about the data as few generated ones about the generator."""
    told = []
    for options in ({"n_images": 8}, {"n_images": 50}, {"n_images": 8, "n_real": 20}):
        quality = image_quality(**options)
        tiny_trainer(max_steps=1, callbacks=[quality]).fit(tiny_gan(), datamodule=tiny_data())
        protocol = quality.history[0].protocol
        told.append((protocol.n_fake, protocol.n_real))
    assert told == [(8, 32), (50, 32), (8, 20)]


def test_the_protocol_tells_of_missing_averages(tiny_gan, tiny_data, tiny_trainer, image_quality):
    quality = image_quality()
    tiny_trainer(max_steps=1, callbacks=[quality]).fit(tiny_gan(), datamodule=tiny_data())
    assert not quality.history[0].protocol.ema


def test_best_is_the_lowest_of_the_first_metric(image_quality, fake_score):
    quality = image_quality(metrics=[FID(), KID()])
    assert quality.best is None
    nan = float("nan")
    quality.history = [
        fake_score(nan, 0),
        fake_score(5.0, 1),
        fake_score(0.1, 1, "kid"),
        fake_score(3.0, 2),
        fake_score(nan, 3),
        fake_score(4.0, 4),
    ]
    assert (quality.best.step, quality.best.value) == (2, 3.0)
    assert [score.metric for score in quality.at(1)] == ["fid", "kid"]


def test_state_round_trip(image_quality, fake_score):
    first, second = image_quality(), image_quality()
    first.history = [fake_score(2.0, 1), fake_score(1.0, 2)]
    second.load_state_dict(first.state_dict())
    assert second.history == first.history


def test_noise_of_scores_is_their_own(tiny_gan):
    module = tiny_gan()
    noise, state = module.noise.get_state(), torch.get_rng_state()
    first = torch.cat([make() for make in fake_batches(module, 7, seed=3, batch_size=3)])
    again = torch.cat([make() for make in fake_batches(module, 7, seed=3, batch_size=3)])
    other = torch.cat([make() for make in fake_batches(module, 7, seed=4, batch_size=3)])
    assert first.shape == (7, 1, 8, 8)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(module.noise.get_state(), noise)
    assert torch.equal(torch.get_rng_state(), state)


def test_real_images_are_at_most_all(tiny_data):
    data = tiny_data(batch_size=4, batches=2)
    assert real_images(data, "train", 100).count == 8
    assert sum(len(make()) for make in real_images(data, "train", 100).load()) == 8
    assert real_images(data, "train", 5, seed=2).count == 5
    (make,) = real_images(data, "train", 5, seed=2).load()
    assert torch.equal(make(), data.take("train", 5, 2))


EVERY = [FID(), KID(), InceptionScore(), FIDInfinity(), Precision(), Recall(), Density(),
         Coverage(), Memorisation(), ClassFID()]  # fmt: skip


@pytest.mark.parametrize(
    ("images", "had"),
    [
        (1, ["is"]),
        (3, ["fid", "kid", "is"]),
        (9, ["fid", "kid", "is", "precision", "recall", "density", "coverage"]),
        (24, ["fid", "kid", "is", "fid_inf", "precision", "recall", "density", "coverage"]),
    ],
)
def test_scores_that_few_images_do_not_allow_stop_no_training(
    images, had, tiny_gan, tiny_data, tiny_trainer, image_quality, tmp_path, capsys
):
    quality = image_quality(metrics=EVERY)
    trainer = tiny_trainer(max_steps=2, callbacks=[quality])
    trainer.fit(tiny_gan(), datamodule=tiny_data(batch_size=1, batches=images))
    assert trainer.global_step == 2
    for step in (0, 2):
        assert [score.metric for score in quality.at(step)] == had
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if line.startswith("ganforge: a score is left out: ")]
    assert len(told) == len(set(told)) == len(quality.left_out)
    assert len(json.loads((tmp_path / "scores.json").read_text())) == 2 * len(had)
    assert [score.metric for score in quality.monitored] == ["fid"] * 2 * ("fid" in had)
    assert (quality.best is None) == ("fid" not in had)


def test_the_first_metric_is_monitored_though_it_has_no_value(image_quality, fake_score):
    quality = image_quality(metrics=[FID(), KID()])
    quality.history = [fake_score(0.5, 1, "kid")]
    assert (quality.monitored, quality.newest, quality.best) == ([], None, None)
    quality.history += [fake_score(3.0, 2), fake_score(0.1, 2, "kid")]
    assert quality.best.metric == "fid"


def test_features_that_cannot_be_had_are_told_before_training(
    tiny_gan, tiny_data, tiny_trainer, image_quality
):
    quality = image_quality()

    class Missing(type(quality.features)):
        def __call__(self, images):
            raise UserError("no weights")

    quality.features = Missing()
    with pytest.raises(UserError, match="no weights"):
        tiny_trainer(max_steps=2, callbacks=[quality]).fit(tiny_gan(), datamodule=tiny_data())


class Fails(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        raise RuntimeError("stop")


def test_scores_survive_a_crash(tiny_gan, tiny_data, tiny_trainer, image_quality, tmp_path):
    trainer = tiny_trainer(max_steps=5, callbacks=[image_quality(), Fails()])
    with pytest.raises(RuntimeError, match="stop"):
        trainer.fit(tiny_gan(), datamodule=tiny_data())
    assert [record["step"] for record in json.loads((tmp_path / "scores.json").read_text())] == [0]


class Steered(torch.nn.Module):
    """A perfect conditional generator of two kinds of image: dark and bright noise."""

    def forward(self, z, labels):
        level = torch.where(labels == 1, 0.7, -0.7).view(-1, 1, 1, 1)
        return (level + 0.1 * z.view(-1, 1, 8, 8)).clamp(-1, 1)


def test_a_perfect_generator_of_a_rare_class_is_perfect(tiny_gan, tiny_data, image_quality):
    """One image in ten is bright: labels that came equally often would be scored as a fault."""
    rng = torch.Generator().manual_seed(5)
    labels = (torch.rand(4000, generator=rng) < 0.1).long()
    images = to_uint8(Steered()(torch.randn(4000, 64, generator=rng), labels))
    data = tiny_data()
    data.class_names = ["dark", "bright"]
    data._opened = dict.fromkeys(SPLITS, Images(images, labels, None, "hash"))
    module = tiny_gan(num_classes=2)
    module.generator, module.latent_dim = Steered(), 64
    assert data.class_shares == pytest.approx([0.9, 0.1], abs=0.015)

    def fid():
        fakes = fake_batches(module, 2000, seed=1)
        quality = image_quality(n_images=2000)
        return Scorer(quality.features, real_images(data, "train"), None, [FID()]).score(fakes)[0]

    equally = fid().value
    module.class_shares = data.class_shares
    other = Scorer(image_quality().features, real_images(data, "train"), None, [FID()])
    real = other.score(data.take("train", 2000, 3))[0]
    assert fid().value == pytest.approx(real.value, abs=0.005)
    assert equally > 0.1
