"""Terms of the generator's own: what it minimises beside the critic's verdict."""

import torch
from torch import Tensor, nn

from ganforge.losses.objective import Generation


class PathLength(nn.Module):
    """E[(‖Jᵀy‖ - a)²], a step in w moves every image equally far (StyleGAN2, Karras 2020, eq. 4).

    J is the derivative of an image by its style, y a normal image over √(H·W), as in the authors'
    code, and ``a`` the running mean of ‖Jᵀy‖, which moves by ``decay`` once a part of a batch.
    Without a mapping the latents z are the styles. It is taken in fp32, by another forward pass.
    """

    def __init__(self, weight: float = 2.0, decay: float = 0.01) -> None:
        super().__init__()
        self.weight, self.decay = weight, decay
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, generation: Generation) -> Tensor:
        """(‖Jᵀy‖ - a)², the mean over a batch's styles."""
        with torch.autocast(generation.latents.device.type, enabled=False):
            styles = generation.mapping(generation.latents.float())
            styles = styles if styles.requires_grad else styles.requires_grad_()
            images = generation.synthesis(styles)
            y = torch.randn_like(images) / images[0, 0].numel() ** 0.5
            (moved,) = torch.autograd.grad((images * y).sum(), styles, create_graph=True)
        lengths = moved.flatten(1).norm(dim=1)
        self.mean.lerp_(lengths.detach().mean(), self.decay)
        return (lengths - self.mean).square().mean()
