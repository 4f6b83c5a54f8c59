"""Penalties on the critic: on its gradient with respect to its input, and on what it says.

Gradients are those of one logit an image: a critic of patches has the mean of its answers. They are
taken in fp32: the critic runs once more outside autocast, because a double backward through bf16
loses the penalty in rounding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganforge.losses.objective import Critic, Critique, Generation, GeneratorTerm, Regularizer


def verdicts(logits: Tensor) -> Tensor:
    """One logit an image, ``N``: the mean of a critic's answers, where it has many (patches)."""
    return logits.reshape(len(logits), -1).mean(1)


def input_gradient(critic: Critic, images: Tensor) -> Tensor:
    """∇D(x) of every sample, shape ``N×D``; differentiable with respect to the critic."""
    with torch.autocast(images.device.type, enabled=False), torch.enable_grad():
        images = images.detach().float().requires_grad_(True)
        answer = verdicts(critic(images)).sum()
        (gradient,) = torch.autograd.grad(answer, images, create_graph=True)
    return gradient.flatten(1)


class R1:
    """½E‖∇D(x)‖² on real images (Mescheder et al. 2018, eq. 9); ``weight`` is the paper's γ.

    The gradient is with respect to the data, through a new draw of the augmentation, as in
    StyleGAN2-ADA. In a critic with batch norm an image's gradient is that of the whole batch's
    answers.
    """

    per_sample = False

    def __init__(self, weight: float = 10.0) -> None:
        self.weight = weight

    def __call__(self, critique: Critique) -> Tensor:
        """½‖∇D(x)‖², the mean over real images."""
        return 0.5 * _squared_gradient(critique, critique.real, critique.real_images)


class R2:
    """½E‖∇D(G(z))‖² on generated images (Mescheder et al. 2018, eq. 10); ``weight`` is γ.

    R3GAN (Huang et al. 2024) needs it beside R1.
    """

    per_sample = False

    def __init__(self, weight: float = 10.0) -> None:
        self.weight = weight

    def __call__(self, critique: Critique) -> Tensor:
        """½‖∇D(G(z))‖², the mean over generated images."""
        return 0.5 * _squared_gradient(critique, critique.fake, critique.fake_images)


def _squared_gradient(critique: Critique, seen: Tensor, images: Tensor | None) -> Tensor:
    """‖∇D(T(x))‖², the mean over images; T is what the critic is shown of them."""
    images = seen if images is None else images
    gradient = input_gradient(lambda x: critique.critic(critique.shown(x)), images)
    return gradient.square().sum(1).mean()


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

    E[max(0, D(x) - α_F)²] + E[max(0, α_R - D(G(z)))²], where α_R and α_F are moving averages of
    what the critic said of real and of generated images, this batch included. The paper's equation
    has no max; the authors' code has: only what lies on the far side of an anchor is pulled to it.
    """

    per_sample = False
    needs_batch = True

    def __init__(self, weight: float = 0.3, decay: float = 0.99) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"lecam.decay is {decay}: it must be at least 0 and below 1")
        self.weight, self.decay = weight, decay
        self.register_buffer("anchors", torch.zeros(2))  # of real, of generated images
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, critique: Critique) -> Tensor:
        """Move the anchors once a batch, then measure how far the answers lie beyond them."""
        real, fake = critique.real_logits, critique.fake_logits
        if critique.part == 0:
            means = torch.stack([real.detach().mean(), fake.detach().mean()])
            # The first batch sets the anchors: averages that start at 0 would pull there.
            step = torch.where(self.updates == 0, 1.0, 1 - self.decay)
            self.anchors.lerp_(means, step)
            self.updates += 1
        anchor_real, anchor_fake = self.anchors.clone()
        return (
            F.relu(real - anchor_fake).square().mean() + F.relu(anchor_real - fake).square().mean()
        )


class Consistency:
    """CR-GAN (Zhang et al. 2020, eq. 1): E[(D(x) - D(T(x)))²], so that the critic ignores T.

    ``transform`` is T, random and label-preserving, such as a small shift.
    """

    per_sample = False

    def __init__(self, transform: nn.Module, weight: float = 10.0) -> None:
        self.transform, self.weight = transform, weight

    def __call__(self, critique: Critique) -> Tensor:
        """(D(x) - D(T(x)))², the mean over real images, one logit each: T moves the patches."""
        changed = critique.critic(self.transform(critique.real)).float()
        return (verdicts(critique.real_logits) - verdicts(changed)).square().mean()


class Lazy(nn.Module):
    """Another regularizer at every ``every``-th update only, ``every`` times as heavy.

    Lazy regularization of Karras et al. 2020 (StyleGAN2, section 3.1): the same pull for a fraction
    of the time, of a term of the generator's own as well. Between its turns the last value is
    shown, with a weight of 0. The parts of a batch have one turn.
    """

    def __init__(self, regularizer: Regularizer | GeneratorTerm, every: int = 16) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"a lazy regularizer acts every 1 or more updates, not every {every}")
        self.regularizer, self.every = regularizer, every
        self.per_sample = getattr(regularizer, "per_sample", False)
        self.needs_batch = getattr(regularizer, "needs_batch", False)
        self.register_buffer("last", torch.zeros(()))
        self._updates = 0  # a number, not a buffer: reading that would wait for the device
        self._due = False

    @property
    def weight(self) -> float:
        """``every`` times the regularizer's own at its turn, else 0."""
        return self.every * self.regularizer.weight if self._due else 0.0

    def forward(self, critique: Critique | Generation) -> Tensor:
        """The penalty at its turn (the first update is one), else its last value."""
        if critique.part == 0:
            self._due = self._updates % self.every == 0
            self._updates += 1
        if not self._due:
            return self.last.clone()
        value = self.regularizer(critique)
        self.last.lerp_(value.detach(), 1 / (critique.part + 1))  # the mean of the parts so far
        return value

    def graph_key(self, calls: int) -> tuple[bool, ...]:
        """Whose turns come next: what a recorded step depends on."""
        return tuple((self._updates + i) % self.every == 0 for i in range(calls))

    def advance(self, calls: int) -> None:
        """Count updates that a recorded step did."""
        self._updates += calls

    def get_extra_state(self) -> dict[str, int]:
        """How many updates there were."""
        return {"updates": self._updates}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self._updates = state["updates"]
