"""What models that make images from latents share: latents, labels, spaces, samples in uint8."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from ganforge.latent.priors import Mapped, Normal, Prior
from ganforge.models.base import AdversarialModule
from ganforge.networks.conditional import Steered
from ganforge.networks.mapped import MappedGenerator
from ganforge.utils.images import to_uint8
from ganforge.utils.modes import evaluating
from ganforge.utils.seeds import numpy_rng, torch_rng

TYPICAL = (4, 128)  # batches of latents, each so large, that stand for all


class LatentModel(AdversarialModule):
    """A model whose ``generator`` makes samples of latents ``N×latent_dim``.

    With ``num_classes`` it is conditional: the generator takes labels, int64 ``N``, behind latents.
    A ``MappedGenerator`` has a second space of latents, the styles w.
    """

    generator: nn.Module
    latent_dim: int
    num_classes: int | None = None
    class_shares: list[float] | None = None  # of the training data, known with it

    def generators(self) -> dict[str, str]:
        """The generator."""
        return {"images from latents": "generator"}

    @property
    def prior(self) -> Prior:
        """What latents z are drawn from."""
        return Normal(self.latent_dim)

    def spaces(self, label: int | None = None) -> dict[str, tuple[Prior, nn.Module]]:
        """By name, a prior and what maps its latents to float samples; all in one class, if any."""
        generator = self.generator if label is None else Steered(self.generator, label)
        spaces: dict[str, tuple[Prior, nn.Module]] = {"z": (self.prior, generator)}
        if isinstance(self.generator, MappedGenerator):
            mapping = partial(_styles, self.generator, label)
            spaces["w"] = (Mapped(mapping, self.prior), self.generator.synthesis)
        return spaces

    def draw_latents(self, count: int, rng: torch.Generator) -> Tensor:
        """``count×latent_dim`` latents of the prior from ``rng``, on its device."""
        return self.prior.draw(count, rng)

    def draw_labels(self, count: int, seed: int) -> Tensor | None:
        """Labels int64 ``count``, as often as the training data has them; None: there are none.

        They come from a generator of their own, so that latents are those of any model.
        """
        if self.num_classes is None:
            return None
        shares = torch.tensor(self.class_shares or [1.0] * self.num_classes, dtype=torch.float64)
        rng = numpy_rng(seed, 0, "labels")
        ends = (shares / shares.sum()).cumsum(0)[:-1]
        return torch.bucketize(torch.from_numpy(rng.random(count)), ends, right=True)

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples of latents in evaluation mode: uint8 ``N×C×H×W``, or float points ``N×D``.

        ``labels``, int64 ``N``, are those of a conditional model: chosen, or of ``draw_labels``.
        """
        if self.num_classes is None and labels is not None:
            raise ValueError("the model is unconditional: it knows no labels")
        if self.num_classes is not None and labels is None:
            raise ValueError("the model is conditional: choose labels, or take draw_labels")
        labels = None if labels is None else labels.to(self.device)
        return self.decode(partial(self._synthesise, labels=labels), z)

    def decode(self, generator: Callable[[Tensor], Tensor], latents: Tensor) -> Tensor:
        """Samples of latents by a generator of ``spaces``, as ``generate`` returns them."""
        with evaluating(self.generator), torch.no_grad():
            samples = generator(latents.to(self.device))
        return to_uint8(samples) if samples.dim() == 4 else samples.float()

    def _synthesise(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return self.generator(z) if labels is None else self.generator(z, labels)

    def typical_inputs(self, network: str) -> Iterator[tuple[Tensor, ...]]:
        """Latents of the generator, with classes that are as frequent as in the data."""
        if network != "generator":
            return
        rng = torch_rng(self.seed, 0, "typical inputs")
        batches, size = TYPICAL
        labels = self.draw_labels(batches * size, self.seed)
        for batch in range(batches):
            z = self.draw_latents(size, rng).to(self.device)
            part = slice(batch * size, (batch + 1) * size)
            yield (z,) if labels is None else (z, labels[part].to(self.device))


def _styles(generator: MappedGenerator, label: int | None, z: Tensor) -> Tensor:
    """Styles of latents on any device, where the latents are."""
    device = next(generator.parameters(), z).device
    labels = None if label is None else torch.full((len(z),), label, device=device)
    with evaluating(generator):
        return generator.styles(z.to(device), labels).to(z.device)
