import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.networks.mlp import MLPDiscriminator, MLPGenerator


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("shape", [[1, 28, 28], [3, 5, 7], [1], [2]])
@pytest.mark.parametrize("hidden", [[8], [8, 6, 4], []])
def test_shapes(shape, hidden):
    samples = MLPGenerator(3, shape, hidden, nn.Tanh())(torch.randn(4, 3))
    assert samples.shape == (4, *shape)
    assert samples.abs().max() <= 1
    assert MLPDiscriminator(shape, hidden)(samples).shape == (4, 1)


def test_parameter_counts_by_hand():
    assert count(MLPGenerator(3, [2], [8, 6], nn.Identity())) == 4 * 8 + 9 * 6 + 7 * 2
    assert count(MLPDiscriminator([1, 2, 2], [8, 6])) == 5 * 8 + 9 * 6 + 7 * 1


def test_output_layer_bounds_the_samples():
    torch.manual_seed(0)
    network = MLPGenerator(3, [2], [8], nn.Identity())
    assert network(100 * torch.randn(50, 3)).abs().max() > 1


def test_one_hidden_layer_by_hand():
    network = MLPDiscriminator([2], [2])
    first, last = (m for m in network.modules() if isinstance(m, nn.Linear))
    with torch.no_grad():
        first.weight.copy_(torch.eye(2))
        first.bias.zero_()
        last.weight.copy_(torch.tensor([[1.0, 10.0]]))
        last.bias.fill_(0.5)
    # LeakyReLU 0.2 turns -3 into -0.6.
    assert_close(network(torch.tensor([[2.0, -3.0]])), torch.tensor([[2 - 6 + 0.5]]))


def test_dropout_only_in_training():
    torch.manual_seed(0)
    network = MLPDiscriminator([2], [32], dropout=0.5)
    x = torch.randn(1, 2)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert_close(network(x), network(x), rtol=0, atol=0)
