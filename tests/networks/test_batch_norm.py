import torch
from torch import nn
from torch.testing import assert_close

from ganforge.networks.batch_norm import (
    BatchNorm2dAcrossRanks,
    share_batch_norm,
    unshare_batch_norm,
)


def two_halves_as_ranks(monkeypatch, total):
    """Stand in for two processes: what is summed is what the whole batch would give."""
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_reduce", lambda tensor: tensor.mul_(total))


def test_statistics_and_gradients_are_those_of_the_whole_batch(monkeypatch):
    """Both ranks see the same half: the whole batch is that half twice."""
    half = torch.randn(3, 4, 5, 5, requires_grad=True)
    plain, shared = nn.BatchNorm2d(4, momentum=0.3), nn.BatchNorm2d(4, momentum=0.3)
    nn.init.normal_(plain.weight)
    shared.load_state_dict(plain.state_dict())
    share_batch_norm(shared)
    target = torch.randn_like(half)
    whole = plain(torch.cat([half, half]))
    (expected,) = torch.autograd.grad((whole * torch.cat([target, target])).sum(), half)
    two_halves_as_ranks(monkeypatch, 2)
    out = shared(half)
    (found,) = torch.autograd.grad((out * target).sum(), half)
    assert_close(out, whole[:3])
    assert_close(2 * found, expected, rtol=1e-4, atol=1e-5)
    assert_close(shared.running_mean, plain.running_mean)
    assert_close(shared.running_var, plain.running_var)


def test_it_has_a_second_derivative(monkeypatch):
    two_halves_as_ranks(monkeypatch, 1)
    layer = nn.BatchNorm1d(3).double()
    share_batch_norm(layer)
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(x).square().square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), x)
    assert second.abs().max() > 0


def test_evaluation_and_one_process_stay_as_they_were():
    plain = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4))
    x = torch.randn(2, 2, 8, 8)
    expected = plain(x), plain.eval()(x)
    plain.train()
    plain[1].reset_running_stats()
    share_batch_norm(plain)
    assert isinstance(plain[1], BatchNorm2dAcrossRanks)
    assert_close((plain(x), plain.eval()(x)), expected)
    unshare_batch_norm(plain)
    assert type(plain[1]) is nn.BatchNorm2d
