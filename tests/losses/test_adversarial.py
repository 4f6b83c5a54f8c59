import math

import pytest
import torch
from torch.testing import assert_close

from ganforge.losses.adversarial import (
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Wasserstein,
)

ALL = [Minimax, NonSaturating, LeastSquares, Hinge, Wasserstein]
LN2, LN3 = math.log(2), math.log(3)
# The sigmoid is 3/4 at ln 3, 1/2 at 0 and 1/4 at -ln 3.
REAL = torch.tensor([LN3, 0.0])
FAKE = torch.tensor([-LN3, 0.0])
LN43, LN4 = math.log(4 / 3), math.log(4)


@pytest.mark.parametrize(
    ("loss", "discriminator", "generator"),
    [
        # D: -(ln 3/4 + ln 1/2)/2 on real, the same on fake; G: mean of ln 3/4 and ln 1/2.
        (Minimax(), LN43 + LN2, -(LN43 + LN2) / 2),
        # G: -(ln 1/4 + ln 1/2)/2.
        (NonSaturating(), LN43 + LN2, (LN4 + LN2) / 2),
        (
            LeastSquares(),
            0.5 * (((LN3 - 1) ** 2 + 1) / 2 + LN3**2 / 2),
            0.5 * ((LN3 + 1) ** 2 + 1) / 2,
        ),
        # ln 3 > 1: the first sample of either side is beyond the margin, the second at 0.
        (Hinge(), 0.5 + 0.5, LN3 / 2),
        (Wasserstein(), -LN3, LN3 / 2),
    ],
)
def test_values_by_hand(loss, discriminator, generator):
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(discriminator, rel=1e-6)
    assert loss.generator(FAKE).item() == pytest.approx(generator, rel=1e-6)


@pytest.mark.parametrize("loss", [Minimax(), NonSaturating(), Hinge(), Wasserstein()])
def test_probability_is_the_sigmoid(loss):
    logits = torch.tensor([LN3, 0.0, -LN3])
    assert_close(loss.probability(logits), torch.tensor([0.75, 0.5, 0.25]))


def test_least_squares_reads_its_target_as_a_probability():
    logits = torch.tensor([-0.5, 0.0, 0.25, 1.0, 3.0])
    assert_close(LeastSquares().probability(logits), torch.tensor([0.0, 0.0, 0.25, 1.0, 1.0]))


@pytest.mark.parametrize(
    ("loss", "logit", "value"),
    [
        (Minimax(), 0.0, 2 * LN2),
        (NonSaturating(), 0.0, 2 * LN2),
        (LeastSquares(), 0.5, 0.25),
        (Hinge(), 0.0, 2.0),
        (Wasserstein(), 0.0, 0.0),
    ],
)
def test_balance(loss, logit, value):
    """Where real and fake are one distribution, the constant critic is optimal and says 1/2."""
    logits = torch.full((4, 1), logit, requires_grad=True)
    discriminator = loss.discriminator(logits, logits)
    (gradient,) = torch.autograd.grad(discriminator, logits)
    assert discriminator.item() == pytest.approx(value)
    assert_close(gradient, torch.zeros(4, 1))
    assert_close(loss.probability(logits), torch.full((4, 1), 0.5))


def test_minimax_players_share_one_value():
    """Equation 1: what the generator minimises is the fake half of minus the critic's loss."""
    minimax, none = Minimax(), torch.full((1,), 1e4)
    assert_close(minimax.generator(FAKE), -minimax.discriminator(none, FAKE))


def test_non_saturating_changes_only_the_generator():
    assert_close(NonSaturating().discriminator(REAL, FAKE), Minimax().discriminator(REAL, FAKE))
    assert NonSaturating().generator(FAKE).item() != pytest.approx(Minimax().generator(FAKE).item())


def test_non_saturating_keeps_its_gradient_where_minimax_loses_it():
    logits = torch.tensor([-20.0], requires_grad=True)
    (saturated,) = torch.autograd.grad(Minimax().generator(logits), logits)
    (alive,) = torch.autograd.grad(NonSaturating().generator(logits), logits)
    assert saturated.item() == pytest.approx(0, abs=1e-8)
    assert alive.item() == pytest.approx(-1, abs=1e-8)


@pytest.mark.parametrize("loss", [loss() for loss in ALL])
@pytest.mark.parametrize("logit", [1e4, -1e4])
def test_no_overflow_at_extreme_logits(loss, logit):
    logits = torch.full((2, 1), logit, requires_grad=True)
    for value in (loss.discriminator(logits, -logits), loss.generator(logits)):
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.isfinite()
        assert gradient.isfinite().all()
    assert loss.probability(logits).isfinite().all()


def test_extreme_values_are_exact():
    """The softplus is linear out there: a confident mistake costs its logit."""
    logits = torch.tensor([1e4])
    assert Minimax().discriminator(-logits, logits).item() == pytest.approx(2e4)
    assert Minimax().discriminator(logits, -logits).item() == 0
    assert NonSaturating().generator(-logits).item() == pytest.approx(1e4)


@pytest.mark.parametrize("loss", [loss() for loss in ALL])
def test_any_shape_gives_a_scalar_mean(loss):
    """Patch critics give a map of logits: the mean is over all of it."""
    real, fake = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    assert_close(loss.discriminator(real, fake), loss.discriminator(real.view(-1), fake.view(-1)))
    assert loss.generator(fake).shape == ()
