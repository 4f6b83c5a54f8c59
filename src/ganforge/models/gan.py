"""The game of Goodfellow et al. 2014: one generator, one discriminator, alternating updates."""

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganforge.losses.objective import AdversarialObjective
from ganforge.models.base import (
    AdversarialModule,
    OptimizerFactory,
    ScheduleFactory,
    with_schedules,
)
from ganforge.utils.images import to_uint8
from ganforge.utils.modes import evaluating


def refuse_batch_norm(discriminator: nn.Module, objective: AdversarialObjective) -> None:
    """Raise ValueError where a penalty on single samples meets a critic that mixes them."""
    if any(isinstance(module, _BatchNorm) for module in discriminator.modules()):
        for name, regularizer in objective.regularizers.items():
            if regularizer.per_sample:
                raise ValueError(
                    f"regularizer {name} needs a discriminator that treats samples one by one, "
                    "without batch norm: choose norm=none or norm=spectral"
                )


class GAN(AdversarialModule):
    """Algorithm 1 of Goodfellow et al. 2014; DCGAN is this with convolutional networks.

    A batch's ``image`` is float ``[-1, 1]`` and holds ``n_critic`` mini-batches: one for each
    update of the discriminator before the generator's.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: AdversarialObjective,
        optimizer_generator: OptimizerFactory,
        optimizer_discriminator: OptimizerFactory,
        latent_dim: int,
        n_critic: int = 1,
        schedule: ScheduleFactory | None = None,
        clip_gradient: float | None = None,
        channels_last: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(clip_gradient, channels_last, seed)
        if n_critic < 1:
            raise ValueError(f"model.n_critic must be at least 1, not {n_critic}")
        refuse_batch_norm(discriminator, objective)
        self.generator = generator
        self.discriminator = discriminator
        self.objective = objective
        self.optimizer_generator = optimizer_generator
        self.optimizer_discriminator = optimizer_discriminator
        self.latent_dim = latent_dim
        self.n_critic = n_critic
        self.schedule = schedule

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:  # noqa: ARG002
        """Update the discriminator ``n_critic`` times, then the generator once.

        The generator's update goes through the last images that the discriminator saw, so that no
        forward pass of the generator happens twice.
        """
        optimizer_g, optimizer_d = self.optimizers()
        for real in batch["image"].chunk(self.n_critic):
            self.count(len(real))
            fake = self.generator(self.draw_latents(len(real), self.noise))
            with self.toggled_optimizer(optimizer_d):
                terms = self.objective.discriminator(self.discriminator, real, fake)
                self.update("discriminator", optimizer_d, terms)
        with self.toggled_optimizer(optimizer_g):
            terms = self.objective.generator(self.discriminator, fake)
            self.update("generator", optimizer_g, terms)
        self.step_schedules()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The generator's optimizer, then the discriminator's."""
        optimizers = [
            self.optimizer_generator(self.generator.parameters()),
            self.optimizer_discriminator(self.discriminator.parameters()),
        ]
        return with_schedules(optimizers, self.schedule)

    def draw_latents(self, count: int, rng: torch.Generator) -> Tensor:
        """``count×latent_dim`` standard normal latents from ``rng``, on its device."""
        return torch.randn(count, self.latent_dim, generator=rng, device=rng.device)

    def generate(self, z: Tensor) -> Tensor:
        """Samples of latents in evaluation mode: uint8 ``N×C×H×W``, or float points ``N×D``."""
        with evaluating(self.generator), torch.no_grad():
            samples = self.generator(z.to(self.device))
        return to_uint8(samples) if samples.dim() == 4 else samples.float()
