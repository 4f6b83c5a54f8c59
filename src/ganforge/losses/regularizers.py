"""Penalties on the critic's gradient with respect to its input.

Each is computed per sample and in fp32: the critic runs once more outside autocast, because a
double backward through bf16 loses the penalty in rounding.
"""

import torch
from torch import Tensor

from ganforge.losses.objective import Critic, Critique


def squared_gradient_norm(critic: Critic, images: Tensor) -> Tensor:
    """‖∇D(x)‖² of every sample, shape ``N``; differentiable with respect to the critic."""
    with torch.autocast(images.device.type, enabled=False), torch.enable_grad():
        images = images.detach().float().requires_grad_(True)
        (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return gradient.flatten(1).square().sum(1)


class R1:
    """½E‖∇D(x)‖² on real images (Mescheder et al. 2018, eq. 9); ``weight`` is the paper's γ."""

    def __init__(self, weight: float = 10.0) -> None:
        self.weight = weight

    def __call__(self, critique: Critique) -> Tensor:
        return 0.5 * squared_gradient_norm(critique.critic, critique.real).mean()


class GradientPenalty:
    """E[(‖∇D(x̂)‖ - 1)²] between real and fake (Gulrajani et al. 2017, eq. 3), one ε a sample.

    The critic must treat samples one by one: no batch norm in it. ``weight`` is the paper's λ.
    """

    def __init__(self, weight: float = 10.0) -> None:
        self.weight = weight

    def __call__(self, critique: Critique) -> Tensor:
        real, fake = critique.real.float(), critique.fake.float()
        epsilon = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
        between = torch.lerp(fake, real, epsilon)
        return (squared_gradient_norm(critique.critic, between).sqrt() - 1).square().mean()
