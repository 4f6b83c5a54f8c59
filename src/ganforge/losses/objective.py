"""The adversarial objective: one loss, any regularizers, one augmentation, by composition."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Critic = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Critique:
    """What a critic said of one batch: all that a regularizer may read.

    ``real`` and ``fake`` are what the critic saw: float ``[-1, 1]``, augmented, detached.
    """

    critic: Critic
    real: Tensor
    fake: Tensor
    real_logits: Tensor
    fake_logits: Tensor


@dataclass(frozen=True)
class Term:
    """One named scalar of an update: unweighted, with the weight it enters the loss with.

    A weight of 0 makes it a reading: computed and logged, never optimised.
    """

    value: Tensor
    weight: float = 1.0


Terms = dict[str, Term]


class AdversarialLoss(Protocol):
    """A pair of losses and a reading, as in ``ganforge.losses.adversarial``.

    ``needs_real`` (False where it is missing) asks for real logits in the generator's update;
    ``has_boundary`` (True where it is missing) says that a probability of 0.5 parts real from fake.
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor: ...  # noqa: D102
    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor: ...  # noqa: D102
    def probability(self, logits: Tensor) -> Tensor: ...  # noqa: D102


class Regularizer(Protocol):
    """A scalar penalty on a critique, and the weight it enters the loss with, read afterwards.

    ``per_sample`` penalties mean nothing for critics whose layers mix the samples of a batch. A
    regularizer with a memory is an ``nn.Module`` that keeps it in buffers: checkpoints hold them.
    """

    weight: float
    per_sample: bool

    def __call__(self, critique: Critique) -> Tensor: ...  # noqa: D102


class AdversarialObjective(nn.Module):
    """What each player of an adversarial game minimises.

    Conditioning is the model's affair: it hands in a critic that already knows its condition.
    Modules with a method ``observe``, such as adaptive augmentation, are told the critic's verdicts
    on the real images of every update: the loss's probability minus 0.5, above 0 is "real". Where
    they set ``needs_boundary``, a loss without one is refused.

    Raises ValueError for parts that do not go together, or that are none.
    """

    def __init__(
        self,
        loss: AdversarialLoss,
        regularizers: Mapping[str, Regularizer] | None = None,
        augment: nn.Module | None = None,
        noise: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.regularizers = dict(regularizers or {})
        _check(loss, self.regularizers, augment)
        # Registered as well, so that what they remember goes into checkpoints.
        self.memories = nn.ModuleDict(
            {name: r for name, r in self.regularizers.items() if isinstance(r, nn.Module)}
        )
        self.augment = augment or nn.Identity()
        self.noise = noise or nn.Identity()

    def discriminator(self, critic: Critic, real: Tensor, fake: Tensor) -> Terms:
        """Terms of the discriminator's update on one batch of real and (detached) fake images."""
        real, fake = self._shown(real), self._shown(fake.detach())
        # Losses in fp32: under bf16 autocast logits have 8 bits of mantissa.
        critique = Critique(critic, real, fake, critic(real).float(), critic(fake).float())
        loss = self.loss.discriminator(critique.real_logits, critique.fake_logits)
        penalties = {
            name: Term(regularizer(critique), regularizer.weight)
            for name, regularizer in self.regularizers.items()
        }
        readings = self._observe(critique)
        return {
            "adversarial": Term(loss),
            **penalties,
            "D(x)": self._reading(critique.real_logits, critique.fake_logits),
            "D(G(z))": self._reading(critique.fake_logits, critique.real_logits),
            "logit(x)": _mean(critique.real_logits),
            "logit(G(z))": _mean(critique.fake_logits),
            **readings,
        }

    def generator(self, critic: Critic, fake: Tensor, real: Tensor | None = None) -> Terms:
        """Terms of the generator's update; ``real`` is read only by losses that compare pairs."""
        fake_logits = critic(self._shown(fake)).float()
        compares = self._compares and real is not None
        real_logits = critic(self._shown(real)).float() if compares else None
        return {"adversarial": Term(self.loss.generator(fake_logits, real_logits))}

    @property
    def _compares(self) -> bool:
        return getattr(self.loss, "needs_real", False)

    def _shown(self, images: Tensor) -> Tensor:
        """What the critic is shown of images."""
        return self.noise(self.augment(images))

    def _observe(self, critique: Critique) -> Terms:
        """Tell the modules that adapt; what they say of their state is a reading."""
        readings: dict[str, Tensor] = {}
        answers = self._answers(critique.real_logits, critique.fake_logits)
        for part in (self.augment, self.noise):
            if hasattr(part, "observe"):
                readings |= part.observe(self.loss.probability(answers) - 0.5)
        return {name: Term(value, weight=0.0) for name, value in readings.items()}

    def _answers(self, logits: Tensor, others: Tensor) -> Tensor:
        """Logits as a reading; a comparing loss knows them against the other side's mean only."""
        logits = logits.detach()
        return logits - others.detach().mean() if self._compares else logits

    def _reading(self, logits: Tensor, others: Tensor) -> Term:
        """The mean probability of being real."""
        probability = self.loss.probability(self._answers(logits, others))
        return Term(probability.mean(), weight=0.0)


def _check(
    loss: AdversarialLoss, regularizers: Mapping[str, Regularizer], augment: nn.Module | None
) -> None:
    """Refuse what would fail, or mean nothing, in the first update."""
    for name, regularizer in regularizers.items():
        if not callable(regularizer):
            raise ValueError(
                f"regularizer {name} is settings without a class ({regularizer}): choose it with "
                f"regularizer=[{name}], or leave its settings out"
            )
    if getattr(augment, "needs_boundary", False) and not getattr(loss, "has_boundary", True):
        raise ValueError(
            f"{type(augment).__name__} goes by the critic's verdicts, and {type(loss).__name__} "
            "answers have no boundary between real and generated: choose another loss, or "
            "augment=diffaugment"
        )


def _mean(logits: Tensor) -> Term:
    """What the critic said itself, as a reading: probabilities cannot tell 10 from 1,000."""
    return Term(logits.detach().mean(), weight=0.0)


def refuse_batch_norm(discriminator: nn.Module, objective: AdversarialObjective) -> None:
    """Raise ValueError where a penalty on single samples meets a critic that mixes them."""
    if any(isinstance(module, _BatchNorm) for module in discriminator.modules()):
        for name, regularizer in objective.regularizers.items():
            if regularizer.per_sample:
                raise ValueError(
                    f"regularizer {name} needs a discriminator that treats samples one by one, "
                    "without batch norm: choose norm=none or norm=spectral"
                )
