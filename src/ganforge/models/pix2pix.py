"""pix2pix (Isola et al. 2017): from an image to its partner, learned from pairs."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganforge.losses.objective import AdversarialObjective, Term, refuse_batch_norm
from ganforge.models.base import Batch, OptimizerFactory, ScheduleFactory
from ganforge.models.translator import Translator
from ganforge.utils.images import to_float, to_uint8
from ganforge.utils.modes import evaluating


class Pix2Pix(Translator):
    """A generator A → B and a critic of pairs, ``N×(Ca+Cb)×H×W``: A beside a real or a made B.

    Dropout is the generator's noise. ``noise_at_test`` keeps it on in translations, as the paper
    does: then the same image gives another translation each time. ``lambda_adversarial=0`` leaves
    the critic out: it neither trains nor takes time.
    """

    translators = {"a_to_b": "generator"}  # noqa: RUF012

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: AdversarialObjective,
        optimizer_generator: OptimizerFactory,
        optimizer_discriminator: OptimizerFactory,
        schedule: ScheduleFactory | None = None,
        lambda_adversarial: float = 1.0,
        lambda_l1: float = 100.0,
        noise_at_test: bool = False,
        clip_gradient: float | None = None,
        channels_last: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(
            optimizer_generator, optimizer_discriminator, schedule,
            clip_gradient, channels_last, seed,
        )  # fmt: skip
        refuse_batch_norm(discriminator, objective)
        self.generator = generator
        self.discriminator = discriminator
        self.objective = objective
        self.lambda_adversarial = lambda_adversarial
        self.lambda_l1 = lambda_l1
        self.noise_at_test = noise_at_test

    def players(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """The generator and the critic of pairs."""
        return [self.generator], [self.discriminator]

    def images_in(self, batch: Batch) -> int:
        """Pairs."""
        return len(batch["a"])

    @property
    def discriminator_calls(self) -> int:
        """None where the critic is left out."""
        return int(bool(self.lambda_adversarial))

    def play(self, batch: Batch) -> None:
        """Translate, update the critic once, then the generator once."""
        a, b = batch["a"], batch["b"]
        optimizer_g, optimizer_d = self.optimizers()
        fake = self.generator(a).float()
        # The pair is what the objective knows as an image: an augmentation moves both halves alike.
        self.objective.stack(a.shape[1], b.shape[1])
        real_pair, fake_pair = torch.cat([a, b], dim=1), torch.cat([a, fake], dim=1)
        if self.lambda_adversarial:
            with self.toggled_optimizer(optimizer_d):
                terms = self.objective.discriminator(self.discriminator, real_pair, fake_pair)
                self.update("discriminator", optimizer_d, terms)
        with self.toggled_optimizer(optimizer_g):
            terms = {"l1": Term(F.l1_loss(fake, b), self.lambda_l1)}
            if self.lambda_adversarial:
                of_critic = self.objective.generator(self.discriminator, fake_pair, real_pair)
                value = of_critic["adversarial"].value
                terms |= of_critic | {"adversarial": Term(value, self.lambda_adversarial)}
            self.update("generator", optimizer_g, terms)

    def translate(self, images: Tensor, direction: str) -> Tensor:
        """Translate uint8 ``N×C×H×W`` of any height and width to uint8, with noise where chosen."""
        if not self.noise_at_test:
            return super().translate(images, direction)
        network = self.network(direction)
        with evaluating(self), torch.no_grad():
            for part in network.modules():
                part.training = isinstance(part, nn.Dropout)
            return to_uint8(self.padded(network, to_float(images.to(self.device))))

    def panels(self, a: Tensor, b: Tensor) -> dict[str, dict[str, Tensor]]:
        """Pictures of uint8 images, a named column each."""
        return {"a_to_b": {"real A": a, "fake B": self.translate(a, "a_to_b"), "truth": b}}
