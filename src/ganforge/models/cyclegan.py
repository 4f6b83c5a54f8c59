"""CycleGAN (Zhu et al. 2017): two domains without pairs, held together by the way back."""

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganforge.losses.objective import AdversarialObjective, Term, Terms, refuse_batch_norm
from ganforge.models.base import Batch, OptimizerFactory, ScheduleFactory
from ganforge.models.image_pool import ImagePool
from ganforge.models.translator import Translator
from ganforge.utils.images import to_float, to_uint8
from ganforge.utils.modes import evaluating
from ganforge.utils.random_state import of_all_ranks
from ganforge.utils.seeds import number


class CycleGAN(Translator):
    """Generators A → B and B → A, and a critic of each domain; terms end in the domain they are of.

    Every generator runs twice a step: once over both domains (translation and identity together,
    which instance norm makes exact), once over the other's output. ``lambda_identity`` is a share
    of ``lambda_cycle``; 0 leaves the identity passes out.

    ``objective`` is that of domain A; B has a copy, because what an objective remembers
    (anchors, an adapted probability, whose turn it is) is of one critic.
    """

    translators = {"a_to_b": "a_to_b", "b_to_a": "b_to_a"}  # noqa: RUF012

    def __init__(
        self,
        a_to_b: nn.Module,
        b_to_a: nn.Module,
        critic_a: nn.Module,
        critic_b: nn.Module,
        objective: AdversarialObjective,
        optimizer_generator: OptimizerFactory,
        optimizer_discriminator: OptimizerFactory,
        schedule: ScheduleFactory | None = None,
        lambda_adversarial: float = 2.0,
        lambda_cycle: float = 10.0,
        lambda_identity: float = 0.5,
        pool_size: int = 50,
        clip_gradient: float | None = None,
        channels_last: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(
            optimizer_generator, optimizer_discriminator, schedule,
            clip_gradient, channels_last, seed,
        )  # fmt: skip
        for critic in (critic_a, critic_b):
            refuse_batch_norm(critic, objective)
        self.a_to_b, self.b_to_a = a_to_b, b_to_a
        self.critic_a, self.critic_b = critic_a, critic_b
        self.objective, self.objective_b = objective, deepcopy(objective)
        self.lambda_adversarial = lambda_adversarial
        self.lambda_cycle = lambda_cycle
        self.lambda_identity = lambda_identity
        self.pool_size = pool_size
        self.pools: dict[str, ImagePool] = {}
        self._pool_states: list[dict[str, dict[str, Tensor]]] = []

    def players(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Both generators and both critics."""
        return [self.a_to_b, self.b_to_a], [self.critic_a, self.critic_b]

    def on_fit_start(self) -> None:
        """Start the pools, another choice on every rank, or take them from a checkpoint."""
        super().on_fit_start()
        self.pools = {
            side: ImagePool(self.pool_size, number(self.seed, self.global_rank, f"pool {side}"))
            for side in "ab"
        }
        if self.global_rank < len(self._pool_states):
            for side, state in self._pool_states[self.global_rank].items():
                self.pools[side].load_state_dict(state, self.device)
        self._pool_states = []

    def images_in(self, batch: Batch) -> int:
        """Those of both domains."""
        return len(batch["a"]) + len(batch["b"])

    def prepare(self, batch: Batch) -> None:
        """Let the pools choose whom the critics meet."""
        self.pools["a"].choose(len(batch["b"]), self.device)  # one fake A of each real B
        self.pools["b"].choose(len(batch["a"]), self.device)

    def play(self, batch: Batch) -> None:
        """Translate, update both critics once, then both generators once."""
        a, b = batch["a"], batch["b"]
        optimizer_g, optimizer_d = self.optimizers()
        fake_b, same_b = self._translate(self.a_to_b, a, b)
        fake_a, same_a = self._translate(self.b_to_a, b, a)
        with self.toggled_optimizer(optimizer_d):
            terms_a = self.objective.discriminator(self.critic_a, a, self.pools["a"](fake_a))
            terms_b = self.objective_b.discriminator(self.critic_b, b, self.pools["b"](fake_b))
            self.update("discriminator", optimizer_d, _of_sides(terms_a, terms_b))
        back_a, back_b = self.b_to_a(fake_b), self.a_to_b(fake_a)
        with self.toggled_optimizer(optimizer_g):
            terms = _of_sides(
                self.objective.generator(self.critic_a, fake_a, a),
                self.objective_b.generator(self.critic_b, fake_b, b),
                self.lambda_adversarial,
            )
            terms |= _of_sides(
                {"cycle": distance(back_a, a)},
                {"cycle": distance(back_b, b)},
                self.lambda_cycle,
            )
            if self.lambda_identity:
                terms |= _of_sides(
                    {"identity": distance(same_a, a)},
                    {"identity": distance(same_b, b)},
                    self.lambda_identity * self.lambda_cycle,
                )
            self.update("generator", optimizer_g, terms)

    def _translate(self, generator: nn.Module, source: Tensor, target: Tensor) -> list[Tensor]:
        """The translation of ``source`` and what the generator makes of its target domain."""
        if not self.lambda_identity:
            return [generator(source), target]
        if source.shape[1] != target.shape[1]:
            raise ValueError(
                f"the identity terms show each generator both domains, of {source.shape[1]} and "
                f"{target.shape[1]} channels: set model.lambda_identity=0, or equal channels"
            )
        return list(generator(torch.cat([source, target])).split([len(source), len(target)]))

    def panels(self, a: Tensor, b: Tensor) -> dict[str, dict[str, Tensor]]:
        """Pictures of uint8 images, a named column each, for both directions."""
        a, b = to_float(a.to(self.device)), to_float(b.to(self.device))
        with evaluating(self), torch.no_grad():
            ways = {
                "a_to_b": self._panel(a, "A", "B", self.a_to_b, self.b_to_a),
                "b_to_a": self._panel(b, "B", "A", self.b_to_a, self.a_to_b),
            }
        return {
            way: {name: to_uint8(images) for name, images in row.items()}
            for way, row in ways.items()
        }

    @staticmethod
    def _panel(
        real: Tensor, here: str, there: str, forth: nn.Module, back: nn.Module
    ) -> dict[str, Tensor]:
        fake = forth(real)
        columns = {f"real {here}": real, f"fake {there}": fake, f"reconstructed {here}": back(fake)}
        if fake.shape[1] == real.shape[1]:  # else the way back does not take it
            columns[f"identity {here}"] = back(real)
        return columns

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add every rank's pools."""
        super().on_save_checkpoint(checkpoint)
        states = {
            side: {key: value.cpu() for key, value in pool.state_dict().items()}
            for side, pool in self.pools.items()
        }
        checkpoint["ganforge"]["pools"] = of_all_ranks(states)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the pools until the device is known."""
        super().on_load_checkpoint(checkpoint)
        self._pool_states = checkpoint["ganforge"]["pools"]


def distance(ours: Tensor, theirs: Tensor) -> Term:
    """Mean absolute difference, in fp32; its weight is set where it is used."""
    return Term(F.l1_loss(ours.float(), theirs))


def _of_sides(terms_a: Terms, terms_b: Terms, weight: float = 1.0) -> Terms:
    """Both sides' terms under names that end in the side; a reading stays a reading."""
    return {
        f"{name}_{side}": Term(term.value, term.weight * weight)
        for side, terms in (("a", terms_a), ("b", terms_b))
        for name, term in terms.items()
    }
