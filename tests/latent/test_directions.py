import pytest
import torch
from torch import nn

from ganforge.latent.directions import (
    Contrast,
    Directions,
    GANSpace,
    contrasts,
    difference_of_means,
    effects,
    first_weights,
    logistic_regression,
    sefa,
)
from ganforge.latent.groups import Pool
from ganforge.latent.priors import Normal
from ganforge.networks.dcgan import DCGANGenerator
from ganforge.utils.errors import UserError

SUPERVISED = {"means": difference_of_means, "logistic": logistic_regression}


def test_the_difference_of_means_is_one():
    z = torch.tensor([[0.0, 1.0], [2.0, 1.0], [5.0, 3.0]])
    found = difference_of_means(z, torch.tensor([False, False, True]))
    assert found.tolist() == [4.0, 2.0]


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(3, 5), nn.Conv2d(3, 5, 1), nn.ConvTranspose2d(3, 5, 1)],
    ids=lambda layer: type(layer).__name__,
)
def test_first_weights_map_the_latent_to_the_first_activations(layer):
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    nn.init.zeros_(layer.bias)
    out = layer(z if isinstance(layer, nn.Linear) else z[:, :, None, None]).flatten(1)
    torch.testing.assert_close(z @ first_weights(nn.Sequential(layer), 3), out)


def test_sefa_finds_what_the_first_layer_amplifies_most(space):
    found = sefa(space, 3)
    # The first layer of the test's generator reads latents 0 and 1 alone; signs are fixed.
    assert found.shape == (3, 6)
    torch.testing.assert_close(found[:2, :2].abs().sum(1), torch.ones(2), atol=1e-4, rtol=0)
    assert (found.max(1).values == found.abs().max(1).values).all()


def test_sefa_reads_a_dcgan(space_with):
    torch.manual_seed(0)
    generator = DCGANGenerator(7, 3, 32, width=4)
    found = sefa(space_with(generator=generator, prior=Normal(7)), 7)
    torch.testing.assert_close(found @ found.T, torch.eye(7), atol=1e-5, rtol=0)
    weights = generator.layers[0].weight.detach().flatten(1)
    gains = (found @ weights).norm(dim=1)
    assert gains.tolist() == sorted(gains.tolist(), reverse=True)


def test_ganspace_finds_the_latents_that_move_the_activations(space):
    found = GANSpace(samples=500)(space, 2)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
    assert (found[:, :2].square().sum(1) > 0.95).all()
    with pytest.raises(UserError, match="it has 1 to 1"):
        GANSpace(activation=2)(space, 2)


def test_effects_are_changes_of_centred_logits(space):
    z = torch.zeros(3, 6)
    matrix = effects(space, torch.eye(6)[[0, 2]], z, strength=5.0)
    # Latent 0 at ±5: the left half goes from -1 to 1; the right one stays 0 (grey 128: 0.004).
    # bright: ±4·0.5 is a change of 4 for each value. split: left changes by -8, right by +8.
    torch.testing.assert_close(matrix[0], torch.tensor([4.0, 8.0]), atol=0.05, rtol=0)
    assert matrix[1].tolist() == [0.0, 0.0]


def test_contrasts_take_values_that_are_there():
    z = torch.zeros(10, 2)
    labels = {"hair": torch.tensor([1] * 5 + [2] * 5), "eyes": torch.zeros(10, dtype=torch.long)}
    pool = Pool(z, labels, {}, {"hair": ["bald", "bob", "bun", "afro"], "eyes": ["open", "closed"]})
    found, notes = contrasts(pool, minimum=3)
    assert found == [Contrast("hair", 1, 2)]
    assert notes == ["no direction for eyes: open 100.0%, closed 0.0% of 10 samples"]
    with pytest.raises(UserError, match="no attribute has two values that 6 of 10 samples show"):
        contrasts(pool, minimum=6)


def test_every_supervised_direction_moves_its_own_attribute_most(space):
    tool = Directions(SUPERVISED, {"sefa": sefa}, components=2, pool=2000, measured=30, strengths=7)
    findings = tool(space)
    for name in SUPERVISED:
        assert all(findings.numbers[name]["own_effect_largest"].values())
        assert findings.pictures[name].images.shape == (2 * 7, 3, 8, 8)
        assert findings.pictures[f"{name}_effects"].values.shape == (2, 2)
        assert list(findings.pictures[name].rows) == ["bright: no → yes", "split: left → right"]
    assert findings.pictures["sefa"].images.shape == (2 * 7, 3, 8, 8)
    direction = findings.numbers["means"]["directions"]["split: left → right"]
    # From left to right: the left half darkens as much as the right one brightens.
    assert direction[0] == pytest.approx(-(0.5**0.5), abs=0.1)
    assert direction[1] == pytest.approx(0.5**0.5, abs=0.1)


def test_without_a_classifier_unsupervised_directions_remain(space_with):
    space = space_with(classify=None, names={})
    findings = Directions({}, {"sefa": sefa}, components=2)(space)
    assert list(findings.pictures) == ["sefa"]
