"""Penalties on the critic's gradient with respect to its input.

Each is computed per sample and in fp32: the critic runs once more outside autocast, because a
double backward through bf16 loses the penalty in rounding.
"""

import torch
from torch import Tensor

from ganforge.losses.objective import Critic, Critique


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
