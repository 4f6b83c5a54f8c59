"""What is read of samples, against values known by hand."""

import math

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn

from ganforge.callbacks.doctor.probe import Probe, spread, thumbnails
from ganforge.models.gan import GAN


class Critic(nn.Module):
    """Scores an image by its mean, in [-1, 1]."""

    def forward(self, images):
        return images.flatten(1).mean(1, keepdim=True)


class Player(GAN):
    """Draws what it is told to; its critic sees brightness."""

    def __init__(self, drawn):
        LightningModule.__init__(self)
        self.drawn = drawn
        self.discriminator = Critic()

    def draw_latents(self, count, rng):
        return torch.randn(count, 2, generator=rng)

    def generate(self, z):
        return self.drawn


class Data:
    batch_size = 64

    def __init__(self, train, test):
        self.splits = {"train": train, "test": test}

    def split(self, name):
        return self.splits[name]

    def take(self, name, n, seed):
        return self.splits[name][:n]


class Trainer:
    def __init__(self, data):
        self.datamodule = data


def grey(*levels):
    """One 8×8 image a level."""
    return torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8)


def look(drawn, train, test):
    probe = Probe(samples=8, seed=0)
    probe.prepare(Trainer(Data(train, test)), player := Player(drawn))
    return probe, probe.look(player)[""]


def test_distances_are_those_of_the_mean_pixels():
    images = torch.zeros(2, 1, 16, 16)
    images[1, 0, ::2] = 4.0  # every second row: thumbnails see 2 everywhere
    torch.testing.assert_close(thumbnails(images)[1], torch.full((64,), 2.0))
    assert spread(thumbnails(images)) == pytest.approx(2 * 8)
    assert thumbnails(torch.ones(3, 2)).shape == (3, 2)


def test_diversity_is_in_units_of_the_data():
    probe, readings = look(grey(10, 30), grey(0, 80), grey(0, 80))
    assert readings["diversity"] == pytest.approx(20 / 80)
    assert "movement" not in readings
    assert probe.distance == pytest.approx(80 / 127.5 * 8)
    assert probe.data_spread == pytest.approx(80 * 8 / (80 * 8 / math.sqrt(2)))


def test_movement_is_measured_from_look_to_look():
    probe = Probe(samples=8, seed=0)
    player = Player(grey(10, 30))
    probe.prepare(Trainer(Data(grey(0, 80), grey(0, 80))), player)
    probe.look(player)
    player.drawn = grey(14, 34)
    after = Probe(samples=8, seed=0)
    after.prepare(Trainer(Data(grey(0, 80), grey(0, 80))), player)
    after.load_state_dict(probe.state_dict())
    assert after.look(player)[""]["movement"] == pytest.approx(4 / 80)


def test_memory_is_what_unseen_images_are_denied():
    """D is brightness: train 200, unseen 150, generated 100: half of the verdict is gone."""
    _, readings = look(grey(99, 101), grey(200, 200, 201, 199), grey(150, 150, 151, 149))
    assert readings["memory"] == pytest.approx(0.5, rel=1e-3)


def test_no_memory_is_told_of_a_critic_that_tells_nothing_apart():
    _, readings = look(grey(0, 201), grey(0, 200), grey(200, 0))
    assert math.isnan(readings["memory"])


def test_equal_images_have_no_diversity_to_compare_with():
    probe, readings = look(grey(10, 30), grey(7, 7, 7), grey(7, 7))
    assert readings == {}
    assert probe.data_spread == 0


@pytest.mark.parametrize(("train", "test"), [(grey(9), grey(9)), (grey(0, 80), grey())])
def test_tiny_data_do_no_harm(train, test):
    probe = Probe(samples=8, seed=0)
    probe.prepare(Trainer(Data(train, test)), Player(grey(10, 30)))
    probe.look(Player(grey(10, 30)))


def test_small_batches_are_looked_at_by_fewer_samples():
    data = Data(grey(*range(100)), grey(*range(100)))
    data.batch_size = 6
    probe = Probe(samples=64, seed=0)
    probe.prepare(Trainer(data), Player(grey(10, 30)))
    assert probe.samples == 12


def test_looking_leaves_the_random_state():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)

    class Drawing(Player):
        def generate(self, z):
            torch.rand(5)
            return self.drawn

    probe = Probe(samples=8, seed=0)
    probe.prepare(Trainer(Data(grey(0, 80), grey(0, 80))), player := Drawing(grey(10, 30)))
    probe.look(player)
    torch.testing.assert_close(torch.rand(3), expected)


def test_updates_tell_a_player_that_stood_still():
    still, moving = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizers = [torch.optim.SGD(p.parameters(), lr=1.0) for p in (still, moving)]
    probe = Probe(samples=8, seed=0)
    assert probe.updates(optimizers) == {}
    moving.weight.data += 1e-3
    readings = probe.updates(optimizers)
    assert readings["generator_update"] == 0
    assert readings["critic_update"] > 0
