import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.latent.priors import Mapped, Normal, lerp, slerp


def rng():
    return torch.Generator().manual_seed(3)


@pytest.fixture
def styles():
    """Styles w = z·A + b of three latents: their mean and spread are known."""
    mapping = nn.Linear(3, 2)
    with torch.no_grad():
        mapping.weight.copy_(torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.5, 0.0]]))
        mapping.bias.copy_(torch.tensor([1.0, -4.0]))
    return Mapped(mapping, Normal(3))


def test_normal_latents_lie_on_a_shell_and_walk_along_it():
    prior = Normal(400)
    z = prior.draw(8, rng())
    means = prior.stretch(torch.stack([z[:4].mean(0), z[4:].mean(0)]))
    assert_close(means.norm(dim=1), torch.full((2,), 20.0))
    assert_close(prior.penalty(means), torch.zeros(2))
    assert_close(prior.penalty(2 * means), torch.full((2,), 9.0))
    halfway = torch.tensor(0.5)
    assert_close(prior.path(z[:1], z[1:2], halfway), slerp(z[:1], z[1:2], halfway))
    assert_close(prior.spread(torch.eye(400)[:3]), torch.ones(3, 1))


def test_styles_are_drawn_through_the_mapping(styles):
    z = Normal(3).draw(5, rng())
    expected = torch.stack([2 * z[:, 0] + 1, z[:, 1] / 2 - 4], 1)
    assert_close(styles.draw(5, rng()), expected)
    assert styles.size == 2


def test_spread_and_mean_of_styles_are_those_of_the_mapping(styles):
    assert_close(styles.mean, torch.tensor([1.0, -4.0]), atol=0.05, rtol=0)
    assert_close(styles.spread(torch.eye(2)), torch.tensor([[2.0], [0.5]]), rtol=0.03, atol=0)
    diagonal = torch.tensor([[0.6, 0.8]])
    assert_close(styles.spread(diagonal), torch.tensor([[1.2649]]), rtol=0.03, atol=0)


def test_a_mean_of_styles_is_a_style_and_walks_are_straight(styles):
    w = styles.draw(4, rng())
    assert styles.stretch(w) is w
    assert_close(
        styles.path(w[:1], w[1:2], torch.tensor(0.3)), lerp(w[:1], w[1:2], torch.tensor(0.3))
    )
    far = styles.mean + 3 * styles.std
    assert_close(styles.penalty(far[None]), torch.tensor([9.0]))


def test_truncation_moves_styles_towards_their_mean(styles):
    w = styles.draw(4, rng())
    cut = styles.truncate(w, 0.7)
    assert_close(cut - styles.mean, 0.7 * (w - styles.mean))
    assert_close(styles.truncate(w, 1.0), w)
