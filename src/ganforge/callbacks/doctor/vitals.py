"""What the doctor reads of a training, and what a rule says about it. Plain numbers, no tensors."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol, Self

UNKNOWN = math.nan


@dataclass(frozen=True)
class Vitals:
    """Means over the steps of one window that ends at ``step``; NaN where nothing was measured.

    Args:
        critic_loss: the adversarial term alone, without penalties; ``generator_loss`` likewise.
        d_real: D(x) as the loss reads it; ``d_fake``: D(G(z)).
        critic_gradient: total norm of the critic's gradient; ``generator_gradient`` likewise.
        generator_update: how much of its weights the generator changed since the last look;
            ``critic_update`` likewise.
        diversity: mean distance of two samples over that of two real images: 1 is the data's own.
        movement: how far samples of fixed latents moved since the last look, in the same unit.
        memory: how much of its verdict on training images the critic denies unseen real ones: 0 is
            none, 1 is all of it (the r_v of Karras et al. 2020, ADA, eq. 1).
        score: the monitored score, where lower is better (FID, L1 of pairs, W1 of points), in a
            record of its own at the step that it is of.
        terms: the generator's other terms (cycle, identity, L1) by name.

    """

    step: int
    critic_loss: float = UNKNOWN
    generator_loss: float = UNKNOWN
    d_real: float = UNKNOWN
    d_fake: float = UNKNOWN
    logit_real: float = UNKNOWN
    logit_fake: float = UNKNOWN
    critic_gradient: float = UNKNOWN
    generator_gradient: float = UNKNOWN
    generator_update: float = UNKNOWN
    critic_update: float = UNKNOWN
    diversity: float = UNKNOWN
    movement: float = UNKNOWN
    memory: float = UNKNOWN
    score: float = UNKNOWN
    terms: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What was measured."""
        record = asdict(self)
        return {k: v for k, v in record.items() if (v if k == "terms" else not math.isnan(v))}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Self:
        """Read what ``to_dict`` wrote; readings of another version are left out."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in record.items() if name in known})


History = Sequence[Vitals]


@dataclass(frozen=True)
class Case:
    """What is known of a training beside its vitals.

    Args:
        floor: the least that the critic's loss can be; None where it has no floor (Wasserstein).
        chance: the critic's loss when it cannot tell real from fake; None likewise.
        generator_rate: learning rate of the generator at the start; ``critic_rate`` likewise.
        data_spread: mean distance of two training images over their mean size: 0 is one image.
        distance: mean distance of two training samples as the critic sees them.
        images: whether the samples are images (not points).
        latent: whether the model draws from latents (and is no translator).
        weight_norm: whether every critic takes a wrapper of its weights (``norm=spectral``).
        batch_norm: whether the critic mixes the samples of a batch.
        gradient_weights: weights of penalties on the critic's gradient, by their overrides.
        in_use: overrides that the training already runs with, as they would be typed.

    """

    floor: float | None = None
    chance: float | None = None
    generator_rate: float = UNKNOWN
    critic_rate: float = UNKNOWN
    data_spread: float = UNKNOWN
    distance: float = 0.0
    images: bool = True
    latent: bool = True
    weight_norm: bool = True
    batch_norm: bool = False
    gradient_weights: dict[str, float] = field(default_factory=dict)
    in_use: frozenset[str] = frozenset()

    @property
    def penalty(self) -> str:
        """The override that holds the critic's slope at 1, or what comes nearest to it."""
        if not self.batch_norm:
            return "regularizer=[gradient_penalty]"
        return "regularizer=[gradient_penalty] norm=none"

    @property
    def flatter(self) -> list[str]:
        """The override that flattens the critic at real samples, unless something does already."""
        used = any(f"regularizer=[{name}]" in self.in_use for name in ("r1", "lazy_r1"))
        return [] if used else ["regularizer=[r1]" if self.images else "regularizer=[r1_points]"]

    @property
    def steeper(self) -> list[str]:
        """The overrides that let a critic be steeper which a penalty has flattened."""
        return [f"{key}={0.1 * weight:.2g}" for key, weight in self.gradient_weights.items()]

    def rate(self, player: str, factor: float) -> list[str]:
        """The override that changes a player's learning rate by a factor; none where it is 0."""
        rate = self.generator_rate if player == "generator" else self.critic_rate
        optimizer = "generator" if player == "generator" else "discriminator"
        return [f"model.optimizer_{optimizer}.lr={factor * rate:.2g}"] if rate > 0 else []

    def usable(self, overrides: Iterable[str]) -> tuple[str, ...]:
        """Those overrides that fit this training and are not in use yet."""
        kept = [text for text in overrides if text.split()[0] not in self.in_use]
        unfit = () if self.images else ("augment=",)
        unfit += () if self.latent else ("model.n_critic=",)
        unfit += () if self.weight_norm else ("norm=",)
        kept = [text for text in kept if not text.startswith(unfit)] if unfit else kept
        return tuple(kept)


@dataclass(frozen=True)
class Finding:
    """What a rule sees: in words, with the numbers it saw, and which overrides to try."""

    name: str
    what: str
    evidence: str
    remedies: tuple[str, ...] = ()
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """One sentence: what, the evidence, what to try."""
        sentence = f"{self.what}: {self.evidence}"
        return f"{sentence}; try {' or '.join(self.remedies)}" if self.remedies else sentence


class Rule(Protocol):
    """Looks at a history, oldest first, and says what is wrong, or None."""

    def __call__(self, history: History, case: Case) -> Finding | None: ...  # noqa: D102


def known(history: History, name: str) -> list[Vitals]:
    """Those windows in which a reading was measured, in order."""
    return [v for v in history if not math.isnan(getattr(v, name))]


def mean(history: History, name: str) -> float:
    """The mean of a reading over the windows that have it; NaN where none has."""
    values = [getattr(v, name) for v in known(history, name)]
    return sum(values) / len(values) if values else UNKNOWN


def lately(history: History, steps: int) -> History:
    """The windows of the last ``steps`` steps; none while the training is younger than that."""
    if not history or history[-1].step < steps:
        return ()
    start = history[-1].step - steps
    return [v for v in history if v.step > start]
