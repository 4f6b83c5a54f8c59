"""The game of Goodfellow et al. 2014: one generator, one discriminator, alternating updates."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.losses.objective import AdversarialObjective, Generation, Terms, refuse_batch_norm
from ganforge.models.base import Batch, OptimizerFactory, ScheduleFactory
from ganforge.models.conditioning import classification, critic_of
from ganforge.models.latent import LatentModel
from ganforge.networks.mapped import MappedGenerator
from ganforge.utils.errors import UserError


@dataclass(frozen=True)
class MiniBatch:
    """Real images and the latents of as many generated ones, once made: one part of an update."""

    real: Tensor
    z: Tensor
    labels: Tensor | None = None
    fake: Tensor | None = None


class GAN(LatentModel):
    """Algorithm 1 of Goodfellow et al. 2014; DCGAN is this with convolutional networks.

    A batch's ``image`` is float ``[-1, 1]`` and holds ``n_critic`` mini-batches: one for each
    update of the discriminator before the generator's. Each mini-batch goes through in
    ``accumulate`` parts, whose gradients add up to the mini-batch's.

    The generator's update shows ``generator_batch`` times as many images as a mini-batch has: new
    ones where that is more than 1, as in the code of WGAN-GP (Gulrajani et al. 2017), which has 2.

    With ``num_classes`` generated images get the labels of the real ones beside them, and both
    networks are told; ``classifier_weight`` is that of an auxiliary classifier in both losses.
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
        num_classes: int | None = None,
        classifier_weight: float = 1.0,
        generator_batch: int = 1,
    ) -> None:
        super().__init__(
            optimizer_generator, optimizer_discriminator, schedule,
            clip_gradient, channels_last, seed,
        )  # fmt: skip
        counts = {
            "n_critic": n_critic, "accumulate": accumulate, "generator_batch": generator_batch
        }  # fmt: skip
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"model.{name} must be at least 1, not {value}")
        refuse_batch_norm(discriminator, objective)
        self.generator = generator
        self.discriminator = discriminator
        self.objective = objective
        self.latent_dim = latent_dim
        self.n_critic = n_critic
        self.accumulate = accumulate
        self.generator_batch = generator_batch
        self.num_classes = num_classes
        self.classifier_weight = classifier_weight

    def players(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """The generator and the discriminator."""
        return [self.generator], [self.discriminator]

    @property
    def discriminator_calls(self) -> int:
        """Once for every mini-batch, in however many parts."""
        return self.n_critic

    def images_in(self, batch: Batch) -> int:
        """The mini-batches of all updates."""
        return len(batch["image"])

    def play(self, batch: Batch) -> None:
        """Update the discriminator ``n_critic`` times, then the generator once.

        The generator's update goes through the last images that the discriminator saw, so that no
        forward pass of the generator happens twice; in parts it makes them again, for their graphs
        are what would fill the memory.
        """
        optimizer_g, optimizer_d = self.optimizers()
        for turn, (real, labels) in enumerate(self._rounds(batch), start=1):
            batches = self.mini_batches(real, labels)
            if turn == self.n_critic and self.accumulate == self.generator_batch == 1:
                batches = [replace(part, fake=self._fake(part)) for part in batches]
            # In the block the generator is frozen: images made there keep no graph.
            with self.toggled_optimizer(optimizer_d):
                self.update("discriminator", optimizer_d, self._judge(batches), self.accumulate)
        if self.generator_batch > 1:
            batches = self.mini_batches(*(_times(self.generator_batch, x) for x in (real, labels)))
        with self.toggled_optimizer(optimizer_g):
            self.update("generator", optimizer_g, self._deceive(batches), self.accumulate)

    def _rounds(self, batch: Batch) -> Iterable[tuple[Tensor, Tensor | None]]:
        """Images and, where the model is conditional, labels of each discriminator update."""
        images = batch["image"].chunk(self.n_critic)
        if self.num_classes is None:
            return [(part, None) for part in images]
        return zip(images, batch["label"].chunk(self.n_critic), strict=True)

    def mini_batches(self, real: Tensor, labels: Tensor | None = None) -> list[MiniBatch]:
        """A mini-batch and its latents in ``accumulate`` parts."""
        if len(real) % self.accumulate:
            raise UserError(
                f"model.accumulate={self.accumulate} does not divide the {len(real)} images of a "
                "batch into equal parts: change it or data.batch_size"
            )
        parts = [real.chunk(self.accumulate)]
        parts.append(self.draw_latents(len(real), self.noise).chunk(self.accumulate))
        parts += [] if labels is None else [labels.chunk(self.accumulate)]
        return [MiniBatch(*part) for part in zip(*parts, strict=True)]

    def _fake(self, part: MiniBatch) -> Tensor:
        if part.fake is not None:
            return part.fake
        return self._synthesise(part.z, part.labels)

    def _judge(self, batches: list[MiniBatch]) -> Iterator[Terms]:
        critics = [critic_of(self.discriminator, part.labels) for part in batches]
        matches = (
            (critic, part.real, self._fake(part))
            for critic, part in zip(critics, batches, strict=True)
        )
        parts = self.objective.discriminator_in_parts(matches, len(batches))
        for critic, terms in zip(critics, parts, strict=True):
            yield terms | classification(critic, 2, self.classifier_weight)

    def _deceive(self, batches: list[MiniBatch]) -> Iterator[Terms]:
        critics = [critic_of(self.discriminator, part.labels) for part in batches]
        parts = self.objective.generator_in_parts(
            [
                (critic, partial(self._fake, part), part.real)
                for critic, part in zip(critics, batches, strict=True)
            ]
        )
        for number, (critic, terms) in enumerate(zip(critics, parts, strict=True)):
            own = self.objective.of_generator(self.generation(batches[number], number))
            yield terms | classification(critic, 1, self.classifier_weight) | own

    def generation(self, batch: MiniBatch, part: int) -> Generation:
        """What the generator's own terms read of a part."""
        if isinstance(self.generator, MappedGenerator):
            mapping = partial(self.generator.styles, labels=batch.labels)
            return Generation(batch.z, mapping, self.generator.synthesis, part)
        synthesis = partial(self._synthesise, labels=batch.labels)
        return Generation(batch.z, torch.clone, synthesis, part)

    def on_fit_start(self) -> None:
        """Refuse labels that do not fit before the first step."""
        super().on_fit_start()
        if self.trainer.datamodule is None:  # a loader of one's own says nothing of its classes
            return
        names = self._class_names()
        if self.num_classes is not None and (names is None or len(names) != self.num_classes):
            found = "no labels" if names is None else f"{len(names)} classes"
            raise UserError(
                f"the model is made for {self.num_classes} classes but the data has {found}: "
                f"set data.num_classes{'' if names is None else f'={len(names)}'} or remove "
                "conditioning"
            )
        if self.num_classes is not None:
            self.class_shares = getattr(self.trainer.datamodule, "class_shares", None)

    def _class_names(self) -> list[str] | None:
        return getattr(self.trainer.datamodule, "class_names", None)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the names of the classes, so that a checkpoint can be asked for them."""
        super().on_save_checkpoint(checkpoint)
        if self.num_classes is not None:
            checkpoint["ganforge"]["classes"] = self._class_names()
            checkpoint["ganforge"]["class_shares"] = self.class_shares


def _times(count: int, samples: Tensor | None) -> Tensor | None:
    """Samples, so many times."""
    return None if samples is None else samples.repeat(count, *[1] * (samples.dim() - 1))
