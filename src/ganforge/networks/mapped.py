"""Generators that map their latents to styles first (Karras et al. 2019)."""

from torch import Tensor, nn


class MappedGenerator(nn.Module):
    """``synthesis(mapping(z))``: latents z to styles w, ``N×D`` each, and styles to images.

    A conditional ``mapping`` takes labels, int64 ``N``, behind the latents; ``synthesis`` takes
    styles alone. Subclasses make both in their constructor, or hand them to this one.
    """

    def __init__(self, mapping: nn.Module, synthesis: nn.Module) -> None:
        super().__init__()
        self.mapping, self.synthesis = mapping, synthesis

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Generate one image a latent."""
        return self.synthesis(self.styles(z, labels))

    def styles(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The style w of each latent."""
        return self.mapping(z) if labels is None else self.mapping(z, labels)
