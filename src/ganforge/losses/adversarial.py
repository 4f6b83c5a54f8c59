"""Adversarial losses: pairs of what the discriminator and what the generator minimise.

Every loss has one signature. Logits are the critic's unbounded outputs, any shape, and each method
returns a scalar. ``probability`` reads logits as the chance that the input is real: 0.5 everywhere
when minimax, non-saturating and least squares players are in balance. For hinge and Wasserstein it
is a reading only, as their balance does not fix the logit. A loss with ``needs_real`` compares real
and fake in the generator's update, too: its logits mean something only against the other side's.
One that ``needs_batch`` is no mean over samples: it takes the whole batch's logits at once. A loss
without ``has_boundary`` does not fix which answers mean real: nothing can go by its verdicts.

``smoothing`` is one-sided label smoothing (Salimans et al. 2016, section 3.4): the target of real
samples is 1 - smoothing, that of fake ones stays 0.
"""

import torch.nn.functional as F
from torch import Tensor


def check_smoothing(smoothing: float) -> float:
    """Return a share of label smoothing; ValueError unless it lies in [0, 0.5)."""
    if not 0 <= smoothing < 0.5:
        raise ValueError(f"loss.smoothing is {smoothing}: it must be at least 0 and below 0.5")
    return smoothing


class LogitLoss:
    """What losses on logits share: the reading of a logit as a probability."""

    needs_real = False
    has_boundary = True

    def probability(self, logits: Tensor) -> Tensor:
        """Sigmoid of the logits: D(x) of Goodfellow et al."""
        return logits.sigmoid()


class Minimax(LogitLoss):
    """The game of Goodfellow et al. 2014, eq. 1: both players move the same value V(D, G)."""

    def __init__(self, smoothing: float = 0.0) -> None:
        self.smoothing = check_smoothing(smoothing)

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """-E[log D(x)] - E[log(1 - D(G(z)))], written with softplus so that it cannot overflow.

        Cross entropy with the target 1 - s is -log D(x) plus s times the logit.
        """
        real = F.softplus(-real_logits) + self.smoothing * real_logits
        return real.mean() + F.softplus(fake_logits).mean()

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """E[log(1 - D(G(z)))]."""
        return -F.softplus(fake_logits).mean()


class NonSaturating(Minimax):
    """Goodfellow et al. 2014, section 3: the generator maximises log D(G(z)) instead."""

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """-E[log D(G(z))]."""
        return F.softplus(-fake_logits).mean()


class LeastSquares:
    """LSGAN (Mao et al. 2017, eq. 9): targets 0 for fake, 1 for real, 1 for the generator."""

    needs_real = False

    def __init__(self, smoothing: float = 0.0) -> None:
        self.smoothing = check_smoothing(smoothing)

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """½E[(D(x) - 1)²] + ½E[D(G(z))²]."""
        target = 1 - self.smoothing
        return 0.5 * ((real_logits - target).square().mean() + fake_logits.square().mean())

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """½E[(D(G(z)) - 1)²]."""
        return 0.5 * (fake_logits - 1).square().mean()

    def probability(self, logits: Tensor) -> Tensor:
        """The regressed target itself, clamped: its optimum is p_data / (p_data + p_g)."""
        return logits.clamp(0, 1)


class Hinge(LogitLoss):
    """Hinge loss (Lim & Ye 2017; Miyato et al. 2018, eq. 16 and 17)."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]."""
        return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """-E[D(G(z))]."""
        return -fake_logits.mean()


class Wasserstein(LogitLoss):
    """WGAN (Arjovsky et al. 2017, eq. 2): needs a Lipschitz critic, so add a gradient penalty.

    A constant added to all answers changes nothing, so that no answer is the boundary.
    """

    has_boundary = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """E[D(G(z))] - E[D(x)]: minus the estimated Wasserstein-1 distance."""
        return fake_logits.mean() - real_logits.mean()

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """-E[D(G(z))]."""
        return -fake_logits.mean()


class Relativistic(LogitLoss):
    """RpGAN (Jolicoeur-Martineau 2018, "RSGAN"): is this real one more real than this fake one?

    Real and fake are compared pair by pair, so both have equally many logits.
    """

    needs_real = True

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """-E[log σ(C(x) - C(G(z)))]."""
        return F.softplus(fake_logits - real_logits).mean()

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """-E[log σ(C(G(z)) - C(x))]."""
        return F.softplus(_given(real_logits) - fake_logits).mean()


class RelativisticAverage(LogitLoss):
    """RaGAN (Jolicoeur-Martineau 2018, "RaSGAN"): more real than the others on average?"""

    needs_real = True
    needs_batch = True

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """-E[log σ(C(x) - E C(G(z)))] - E[log(1 - σ(C(G(z)) - E C(x)))]."""
        real = F.softplus(fake_logits.mean() - real_logits).mean()
        return real + F.softplus(fake_logits - real_logits.mean()).mean()

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """The discriminator's with the sides exchanged."""
        return self.discriminator(fake_logits, _given(real_logits))


def _given(real_logits: Tensor | None) -> Tensor:
    if real_logits is None:
        raise ValueError("a relativistic loss compares: its generator needs the real logits, too")
    return real_logits
