"""Adversarial losses: pairs of what the discriminator and what the generator minimise.

Every loss has one signature. Logits are the critic's unbounded outputs, any shape, and each method
returns a scalar. ``probability`` reads logits as the chance that the input is real: 0.5 everywhere
when minimax, non-saturating and least squares players are in balance. For hinge and Wasserstein it
is a reading only, as their balance does not fix the logit.
"""

import torch.nn.functional as F
from torch import Tensor


class LogitLoss:
    """What losses on logits share: the reading of a logit as a probability."""

    def probability(self, logits: Tensor) -> Tensor:
        """Sigmoid of the logits: D(x) of Goodfellow et al."""
        return logits.sigmoid()


class Minimax(LogitLoss):
    """The game of Goodfellow et al. 2014, eq. 1: both players move the same value V(D, G)."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """-E[log D(x)] - E[log(1 - D(G(z)))], written with softplus so that it cannot overflow."""
        return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()

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

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """½E[(D(x) - 1)²] + ½E[D(G(z))²]."""
        return 0.5 * ((real_logits - 1).square().mean() + fake_logits.square().mean())

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
    """WGAN (Arjovsky et al. 2017, eq. 2): needs a Lipschitz critic, so add a gradient penalty."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """E[D(G(z))] - E[D(x)]: minus the estimated Wasserstein-1 distance."""
        return fake_logits.mean() - real_logits.mean()

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """-E[D(G(z))]."""
        return -fake_logits.mean()
