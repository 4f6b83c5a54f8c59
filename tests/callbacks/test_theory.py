import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganforge.callbacks.theory import critic_probability
from ganforge.losses.adversarial import LeastSquares
from ganforge.networks.mlp import MLPDiscriminator


def test_belief_by_hand(tiny_gan):
    module = tiny_gan(loss=LeastSquares())
    module.discriminator = nn.Linear(1, 1)
    with torch.no_grad():
        module.discriminator.weight.fill_(0.5)
        module.discriminator.bias.fill_(0.25)
    belief = critic_probability(module, torch.tensor([[-1.0], [0.0], [1.0], [9.0]]))
    torch.testing.assert_close(belief, torch.tensor([0.0, 0.25, 0.75, 1.0]))


@pytest.mark.parametrize("training", [True, False])
def test_reading_the_critic_does_not_change_training(training, tiny_gan):
    module = tiny_gan()
    module.discriminator = nn.Sequential(
        spectral_norm(nn.Linear(2, 2)), nn.BatchNorm1d(2), MLPDiscriminator([2], [16], dropout=0.5)
    ).train(training)
    before = {k: v.clone() for k, v in module.discriminator.state_dict().items()}
    state, points = torch.get_rng_state(), torch.randn(20, 2, generator=torch.Generator())
    first, again = (critic_probability(module, points) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
    assert module.discriminator.training is training
    for name, value in module.discriminator.state_dict().items():
        assert torch.equal(value, before[name])
