"""The game of Goodfellow et al. 2014: one generator, one discriminator, alternating updates."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganforge.losses.objective import AdversarialObjective, Terms
from ganforge.models.base import AdversarialModule, OptimizerFactory, ScheduleFactory
from ganforge.utils.errors import UserError
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


@dataclass(frozen=True)
class Play:
    """Real images and the latents of as many generated ones, once made: one part of an update."""

    real: Tensor
    z: Tensor
    fake: Tensor | None = None


class GAN(AdversarialModule):
    """Algorithm 1 of Goodfellow et al. 2014; DCGAN is this with convolutional networks.

    A batch's ``image`` is float ``[-1, 1]`` and holds ``n_critic`` mini-batches: one for each
    update of the discriminator before the generator's. Each mini-batch goes through in
    ``accumulate`` parts, whose gradients add up to the mini-batch's.
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
        accumulate: int = 1,
        schedule: ScheduleFactory | None = None,
        clip_gradient: float | None = None,
        channels_last: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(
            optimizer_generator, optimizer_discriminator, schedule,
            clip_gradient, channels_last, seed,
        )  # fmt: skip
        for name, value in (("n_critic", n_critic), ("accumulate", accumulate)):
            if value < 1:
                raise ValueError(f"model.{name} must be at least 1, not {value}")
        refuse_batch_norm(discriminator, objective)
        self.generator = generator
        self.discriminator = discriminator
        self.objective = objective
        self.latent_dim = latent_dim
        self.n_critic = n_critic
        self.accumulate = accumulate

    def players(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """The generator and the discriminator."""
        return [self.generator], [self.discriminator]

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:  # noqa: ARG002
        """Update the discriminator ``n_critic`` times, then the generator once.

        The generator's update goes through the last images that the discriminator saw, so that no
        forward pass of the generator happens twice; in parts it makes them again, for their graphs
        are what would fill the memory.
        """
        optimizer_g, optimizer_d = self.optimizers()
        rounds = batch["image"].chunk(self.n_critic)
        for turn, real in enumerate(rounds, start=1):
            self.count(len(real))
            plays = self.plays(real)
            if turn == self.n_critic and self.accumulate == 1:
                plays = [replace(play, fake=self.generator(play.z)) for play in plays]
            # In the block the generator is frozen: images made there keep no graph.
            with self.toggled_optimizer(optimizer_d):
                terms = (self._judge(play) for play in plays)
                self.update("discriminator", optimizer_d, terms, self.accumulate)
        with self.toggled_optimizer(optimizer_g):
            terms = (self._deceive(play) for play in plays)
            self.update("generator", optimizer_g, terms, self.accumulate)
        self.step_schedules()

    def plays(self, real: Tensor) -> list[Play]:
        """A mini-batch and its latents in ``accumulate`` parts."""
        if len(real) % self.accumulate:
            raise UserError(
                f"model.accumulate={self.accumulate} does not divide the {len(real)} images of a "
                "batch into equal parts: change it or data.batch_size"
            )
        z = self.draw_latents(len(real), self.noise)
        parts = (real.chunk(self.accumulate), z.chunk(self.accumulate))
        return [Play(*part) for part in zip(*parts, strict=True)]

    def _judge(self, play: Play) -> Terms:
        fake = self.generator(play.z) if play.fake is None else play.fake
        return self.objective.discriminator(self.discriminator, play.real, fake)

    def _deceive(self, play: Play) -> Terms:
        fake = self.generator(play.z) if play.fake is None else play.fake
        return self.objective.generator(self.discriminator, fake, play.real)

    def draw_latents(self, count: int, rng: torch.Generator) -> Tensor:
        """``count×latent_dim`` standard normal latents from ``rng``, on its device."""
        return torch.randn(count, self.latent_dim, generator=rng, device=rng.device)

    def generate(self, z: Tensor) -> Tensor:
        """Samples of latents in evaluation mode: uint8 ``N×C×H×W``, or float points ``N×D``."""
        with evaluating(self.generator), torch.no_grad():
            samples = self.generator(z.to(self.device))
        return to_uint8(samples) if samples.dim() == 4 else samples.float()
