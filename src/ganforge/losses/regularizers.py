"""Penalties on the critic: on its gradient with respect to its input, and on what it says.

Gradients are taken per sample and in fp32: the critic runs once more outside autocast, because a
double backward through bf16 loses the penalty in rounding.
"""

import torch
from torch import Tensor, nn

from ganforge.losses.objective import Critic, Critique, Regularizer


def input_gradient(critic: Critic, images: Tensor) -> Tensor:
    """∇D(x) of every sample, shape ``N×D``; differentiable with respect to the critic."""
    with torch.autocast(images.device.type, enabled=False), torch.enable_grad():
        images = images.detach().float().requires_grad_(True)
        (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return gradient.flatten(1)


class R1:
    """½E‖∇D(x)‖² on real images (Mescheder et al. 2018, eq. 9); ``weight`` is the paper's γ."""

    per_sample = False

    def __init__(self, weight: float = 10.0) -> None:
        self.weight = weight

    def __call__(self, critique: Critique) -> Tensor:
        """½‖∇D(x)‖², the mean over real images."""
        return 0.5 * input_gradient(critique.critic, critique.real).square().sum(1).mean()


class R2:
    """½E‖∇D(G(z))‖² on generated images (Mescheder et al. 2018, eq. 10); ``weight`` is γ.

    R3GAN (Huang et al. 2024) needs it beside R1.
    """

    per_sample = False

    def __init__(self, weight: float = 10.0) -> None:
        self.weight = weight

    def __call__(self, critique: Critique) -> Tensor:
        """½‖∇D(G(z))‖², the mean over generated images."""
        return 0.5 * input_gradient(critique.critic, critique.fake).square().sum(1).mean()


class GradientPenalty:
    """E[(‖∇D(x̂)‖ - 1)²] between real and fake (Gulrajani et al. 2017, eq. 3), one ε a sample.

    The critic must treat samples one by one: no batch norm in it. ``weight`` is the paper's λ.
    """

    per_sample = True

    def __init__(self, weight: float = 10.0) -> None:
        self.weight = weight

    def __call__(self, critique: Critique) -> Tensor:
        """(‖∇D(x̂)‖ - 1)², the mean over interpolates."""
        real, fake = critique.real.float(), critique.fake.float()
        epsilon = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
        between = torch.lerp(fake, real, epsilon)
        # The norm's own derivative is 0 at 0, where that of a square root is infinite.
        return (input_gradient(critique.critic, between).norm(dim=1) - 1).square().mean()


class LeCam(nn.Module):
    """Anchors the critic's answers (Tseng et al. 2021, eq. 4): meant for little data.

    E[(D(x) - α_F)²] + E[(D(G(z)) - α_R)²], where α_R and α_F are moving averages of what the critic
    said of real and of generated images, this batch included.
    """

    per_sample = False

    def __init__(self, weight: float = 0.3, decay: float = 0.99) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"lecam.decay is {decay}: it must be at least 0 and below 1")
        self.weight, self.decay = weight, decay
        self.register_buffer("anchors", torch.zeros(2))  # of real, of generated images
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, critique: Critique) -> Tensor:
        """Move the anchors, then measure how far the answers lie from the other side's."""
        real, fake = critique.real_logits, critique.fake_logits
        means = torch.stack([real.detach().mean(), fake.detach().mean()])
        # The first batch sets the anchors: averages that start at 0 would pull there.
        step = torch.where(self.updates == 0, 1.0, 1 - self.decay)
        self.anchors.lerp_(means, step)
        self.updates += 1
        anchor_real, anchor_fake = self.anchors.clone()
        return (real - anchor_fake).square().mean() + (fake - anchor_real).square().mean()


class Consistency:
    """CR-GAN (Zhang et al. 2020, eq. 1): E[(D(x) - D(T(x)))²], so that the critic ignores T.

    ``transform`` is T, random and label-preserving, such as a small shift.
    """

    per_sample = False

    def __init__(self, transform: nn.Module, weight: float = 10.0) -> None:
        self.transform, self.weight = transform, weight

    def __call__(self, critique: Critique) -> Tensor:
        """(D(x) - D(T(x)))², the mean over real images."""
        changed = critique.critic(self.transform(critique.real)).float()
        return (critique.real_logits - changed).square().mean()


class Lazy(nn.Module):
    """Another regularizer, at every ``every``-th update only, ``every`` times as heavy.

    Lazy regularization of Karras et al. 2020 (StyleGAN2, section 3.1): the same pull for a fraction
    of the time. Between its turns the last value is shown, with a weight of 0.
    """

    def __init__(self, regularizer: Regularizer, every: int = 16) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"a lazy regularizer acts every 1 or more updates, not every {every}")
        self.regularizer, self.every = regularizer, every
        self.per_sample = regularizer.per_sample
        self.register_buffer("last", torch.zeros(()))
        self._updates = 0  # a number, not a buffer: reading that would wait for the device
        self._due = False

    @property
    def weight(self) -> float:
        """``every`` times the regularizer's own at its turn, else 0."""
        return self.every * self.regularizer.weight if self._due else 0.0

    def forward(self, critique: Critique) -> Tensor:
        """The penalty at its turn (the first update is one), else its last value."""
        self._due = self._updates % self.every == 0
        self._updates += 1
        if not self._due:
            return self.last.clone()
        value = self.regularizer(critique)
        self.last.copy_(value.detach())
        return value

    def routine(self, critiques: int) -> tuple[bool, ...]:
        """Whose turns come next: what a recorded step depends on."""
        return tuple((self._updates + i) % self.every == 0 for i in range(critiques))

    def repeated(self, critiques: int) -> None:
        """Count updates that a recorded step did."""
        self._updates += critiques

    def get_extra_state(self) -> dict[str, int]:
        """How many updates there were."""
        return {"updates": self._updates}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self._updates = state["updates"]
