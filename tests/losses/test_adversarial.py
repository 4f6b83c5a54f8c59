import math

import pytest
import torch
from torch.testing import assert_close

from ganforge.losses.adversarial import (
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    RelativisticAverage,
    Wasserstein,
)

RELATIVE = [Relativistic, RelativisticAverage]
ALL = [Minimax, NonSaturating, LeastSquares, Hinge, Wasserstein, *RELATIVE]
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
    for value in (loss.discriminator(logits, -logits), loss.generator(logits, -logits)):
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
    assert loss.generator(fake, real).shape == ()


def test_relativistic_compares_pair_by_pair():
    """Differences ln 3 - (-ln 3) and 0: σ is 9/10 and 1/2 for D, 1/10 and 1/2 for G."""
    loss = Relativistic()
    by_hand = -(math.log(9 / 10) + math.log(1 / 2)) / 2
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(by_hand, rel=1e-6)
    by_hand = -(math.log(1 / 10) + math.log(1 / 2)) / 2
    assert loss.generator(FAKE, REAL).item() == pytest.approx(by_hand, rel=1e-6)
    # In another pairing, ln 3 with 0 and 0 with -ln 3, both differences are ln 3.
    assert loss.discriminator(REAL, FAKE.flip(0)).item() == pytest.approx(LN43, rel=1e-6)


def test_relativistic_average_compares_with_the_mean():
    """Means 0: then it is the non-saturating critic; the generator sees the sides exchanged."""
    loss = RelativisticAverage()
    real, fake = torch.tensor([LN3, -LN3]), torch.tensor([-LN3, LN3])
    by_hand = LN43 + LN4  # each side: -(ln 3/4 + ln 1/4)/2
    assert loss.discriminator(real, fake).item() == pytest.approx(by_hand, rel=1e-6)
    assert loss.generator(fake, real).item() == pytest.approx(by_hand, rel=1e-6)
    # Real ln 3 and 0, fake 0 and 0: -(ln 3/4 + ln 1/2)/2, then both fakes ½ ln 3 below the mean.
    real, fake = REAL, torch.zeros(2)
    by_hand = (LN43 + LN2) / 2 + math.log(1 + 3**-0.5)
    assert loss.discriminator(real, fake).item() == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("loss", [loss() for loss in RELATIVE])
def test_relativistic_losses_do_not_know_a_shift_of_all_logits(loss):
    assert_close(loss.discriminator(REAL + 7, FAKE + 7), loss.discriminator(REAL, FAKE))
    assert_close(loss.generator(FAKE + 7, REAL + 7), loss.generator(FAKE, REAL))
    with pytest.raises(ValueError, match="needs the real logits"):
        loss.generator(FAKE)


@pytest.mark.parametrize("loss", [loss() for loss in RELATIVE])
def test_relativistic_balance(loss):
    """Where both sides are alike every comparison is a toss: ln 2 for each that the loss makes."""
    logits = torch.full((4, 1), 3.0, requires_grad=True)
    value = loss.discriminator(logits, logits)
    (gradient,) = torch.autograd.grad(value, logits)
    tosses = 1 if isinstance(loss, Relativistic) else 2
    assert value.item() == pytest.approx(tosses * LN2)
    assert_close(gradient, torch.zeros(4, 1))


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        # 0.9 ln 4/3 + 0.1 ln 4 and ln 2 on real; ln 4/3 and ln 2 on fake.
        (NonSaturating(0.1), (0.9 * LN43 + 0.1 * LN4 + LN2) / 2 + (LN43 + LN2) / 2),
        (Minimax(0.1), (0.9 * LN43 + 0.1 * LN4 + LN2) / 2 + (LN43 + LN2) / 2),
        (LeastSquares(0.1), 0.5 * (((LN3 - 0.9) ** 2 + 0.81) / 2 + LN3**2 / 2)),
    ],
)
def test_smoothing_moves_the_target_of_real_samples_alone(loss, value):
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(value, rel=1e-6)
    assert_close(loss.generator(FAKE), type(loss)().generator(FAKE))


def test_smoothing_keeps_the_critic_from_certainty():
    """With a target of 0.9 the best answer is the logit of 0.9, ln 9, not infinity."""
    logits = torch.tensor([math.log(9)], requires_grad=True)
    loss = NonSaturating(0.1).discriminator(logits, torch.zeros(1))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("smoothing", [-0.1, 0.5, 1.0])
def test_impossible_smoothing_is_refused(smoothing):
    with pytest.raises(ValueError, match=f"smoothing is {smoothing}"):
        NonSaturating(smoothing)
