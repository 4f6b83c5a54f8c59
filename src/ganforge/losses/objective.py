"""The adversarial objective: one loss, any regularizers, one augmentation, by composition."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Critic = Callable[[Tensor], Tensor]
# A critic, real and generated images.
Match = tuple[Critic, Tensor, Tensor]


def as_they_are(images: Tensor) -> Tensor:
    """What a critic is shown where nothing is changed."""
    return images


@dataclass(frozen=True)
class Critique:
    """What a critic said of one batch, or of one part of it: all that a regularizer may read.

    ``real`` and ``fake`` are what the critic saw: float ``[-1, 1]``, augmented, detached;
    ``real_images`` and ``fake_images`` are what they were before ``shown`` changed them. ``part``
    numbers the parts of a batch. A regularizer that ``needs_batch`` is given the logits of the
    whole batch, of which those of its part have a graph.
    """

    critic: Critic
    real: Tensor
    fake: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    shown: Callable[[Tensor], Tensor] = as_they_are
    real_images: Tensor | None = None  # None: nothing changed them
    fake_images: Tensor | None = None
    part: int = 0


@dataclass(frozen=True)
class Generation:
    """Latents of one batch, or of one part of it, and what makes images of them.

    ``mapping`` makes styles of latents, or leaves them alone; ``synthesis`` makes float images
    ``[-1, 1]`` of styles. Both know the labels of a conditional model.
    """

    latents: Tensor
    mapping: Callable[[Tensor], Tensor]
    synthesis: Callable[[Tensor], Tensor]
    part: int = 0


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
    ``needs_batch`` (likewise) for the logits of the whole batch where it comes in parts;
    ``has_boundary`` (True where it is missing) says that a probability of 0.5 parts real from fake.
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor: ...  # noqa: D102
    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor: ...  # noqa: D102
    def probability(self, logits: Tensor) -> Tensor: ...  # noqa: D102


class Regularizer(Protocol):
    """A scalar penalty on a critique, and the weight it enters the loss with, read afterwards.

    ``per_sample`` penalties mean nothing for critics whose layers mix the samples of a batch.
    ``needs_batch`` (False where it is missing) asks for the logits of the whole batch. A
    regularizer with a memory is an ``nn.Module`` that keeps it in buffers: checkpoints hold them.
    """

    weight: float
    per_sample: bool

    def __call__(self, critique: Critique) -> Tensor: ...  # noqa: D102


class GeneratorTerm(Protocol):
    """A scalar that the generator minimises beside its loss; otherwise like a ``Regularizer``."""

    weight: float

    def __call__(self, generation: Generation) -> Tensor: ...  # noqa: D102


class AdversarialObjective(nn.Module):
    """What each player of an adversarial game minimises.

    Conditioning is the model's affair: it hands in a critic that already knows its condition.
    Augmentations with an attribute ``stacked`` are told of which images a stack is made; modules
    with a method ``observe``, such as adaptive augmentation, are told the critic's verdicts
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
        generator_terms: Mapping[str, GeneratorTerm] | None = None,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.regularizers = dict(regularizers or {})
        self.generator_terms = dict(generator_terms or {})
        _check(loss, self.regularizers, self.generator_terms, augment)
        # Registered as well, so that what they remember goes into checkpoints.
        self.memories = _modules(self.regularizers)
        self.generator_memories = _modules(self.generator_terms)
        self.augment = augment or nn.Identity()
        self.noise = noise or nn.Identity()

    def discriminator(self, critic: Critic, real: Tensor, fake: Tensor) -> Terms:
        """Terms of the discriminator's update on one batch of real and (detached) fake images."""
        (terms,) = self.discriminator_in_parts([(critic, real, fake)], 1)
        return terms

    def discriminator_in_parts(self, matches: Iterable[Match], parts: int) -> Iterator[Terms]:
        """Terms of each of the equal parts of a batch; their mean has the batch's gradient.

        Where the loss or a regularizer needs the whole batch, the critic sees it beforehand, once
        more and without a graph.
        """
        critiques: Iterable[Critique] = (self._critique(*match) for match in matches)
        said: list[Critique] = []
        if parts > 1 and self._needs_batch(self.loss, *self.regularizers.values()):
            with torch.no_grad():
                said = [_judged(critique) for critique in list(critiques)]
            critiques = said
        answers: list[tuple[Tensor, Tensor]] = []
        for part, unjudged in enumerate(critiques):
            critique = replace(_judged(unjudged), part=part)
            terms = self._penalised(critique, said)
            answers.append((critique.real_logits.detach(), critique.fake_logits.detach()))
            if part == parts - 1:
                real, fake = (torch.cat(side) for side in zip(*answers, strict=True))
                readings = self._observe(replace(critique, real_logits=real, fake_logits=fake))
                # What is read once a batch counts for all of its parts.
                terms |= {name: replace(r, value=r.value * parts) for name, r in readings.items()}
            yield terms

    def _critique(self, critic: Critic, real: Tensor, fake: Tensor) -> Critique:
        """What a critic is about to be asked."""
        fake, nothing = fake.detach(), real.new_empty(0)
        return Critique(
            critic, self._shown(real), self._shown(fake), nothing, nothing, self._shown, real, fake
        )

    def _penalised(self, critique: Critique, said: Sequence[Critique]) -> Terms:
        """The loss, the penalties and the readings of a part; ``said`` is the batch, if needed."""
        whole = critique
        if said:
            real = _with_live([c.real_logits for c in said], critique.real_logits, critique.part)
            fake = _with_live([c.fake_logits for c in said], critique.fake_logits, critique.part)
            whole = replace(critique, real_logits=real, fake_logits=fake)

        def of(part: AdversarialLoss | Regularizer, ask: Callable[[Critique], Tensor]) -> Tensor:
            if not (said and self._needs_batch(part)):
                return ask(critique)
            return _share(ask(whole), len(said))

        loss = of(self.loss, lambda c: self.loss.discriminator(c.real_logits, c.fake_logits))
        penalties = {name: of(r, r) for name, r in self.regularizers.items()}
        return {
            "adversarial": Term(loss),
            **{name: Term(p, self.regularizers[name].weight) for name, p in penalties.items()},
            "D(x)": self._reading(critique.real_logits, whole.fake_logits),
            "D(G(z))": self._reading(critique.fake_logits, whole.real_logits),
            "logit(x)": _mean(critique.real_logits),
            "logit(G(z))": _mean(critique.fake_logits),
        }

    def generator(self, critic: Critic, fake: Tensor, real: Tensor | None = None) -> Terms:
        """Terms of the generator's update; ``real`` is read only by losses that compare pairs."""
        (terms,) = self.generator_in_parts([(critic, lambda: fake, real)])
        return terms

    def generator_in_parts(
        self, parts: Sequence[tuple[Critic, Callable[[], Tensor], Tensor | None]]
    ) -> Iterator[Terms]:
        """Terms of each of the equal parts of a batch; their mean has the batch's gradient.

        Generated images are made when they are needed, twice where the loss needs the whole batch.
        """
        said: list[tuple[Tensor, Tensor | None]] = []
        if len(parts) > 1 and self._needs_batch(self.loss):
            with torch.no_grad():
                said = [self._answers_to(critic, fake(), real) for critic, fake, real in parts]
        for part, (critic, make, real) in enumerate(parts):
            fake_logits, real_logits = self._answers_to(critic, make(), real)
            if not said:
                yield {"adversarial": Term(self.loss.generator(fake_logits, real_logits))}
                continue
            fakes = _with_live([fake for fake, _ in said], fake_logits, part)
            reals = None if real_logits is None else torch.cat([real for _, real in said])
            loss = self.loss.generator(fakes, reals)
            yield {"adversarial": Term(_share(loss, len(said)))}

    def of_generator(self, generation: Generation) -> Terms:
        """The generator's own terms on one part of a batch."""
        values = {name: term(generation) for name, term in self.generator_terms.items()}
        return {name: Term(v, self.generator_terms[name].weight) for name, v in values.items()}

    def _answers_to(
        self, critic: Critic, fake: Tensor, real: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits of generated images, and of real ones where the loss compares."""
        fake_logits = critic(self._shown(fake)).float()
        compares = self._compares and real is not None
        return fake_logits, critic(self._shown(real)).float() if compares else None

    def stack(self, *channels: int) -> None:
        """Say that an image is several, one behind the other, of so many channels each."""
        for part in self.augment.modules():
            if hasattr(part, "stacked"):
                part.stacked = channels

    @staticmethod
    def _needs_batch(*parts: AdversarialLoss | Regularizer) -> bool:
        return any(getattr(part, "needs_batch", False) for part in parts)

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


def _modules(parts: Mapping[str, Any]) -> nn.ModuleDict:
    return nn.ModuleDict({k: part for k, part in parts.items() if isinstance(part, nn.Module)})


def _check(
    loss: AdversarialLoss,
    regularizers: Mapping[str, Regularizer],
    generator_terms: Mapping[str, GeneratorTerm],
    augment: nn.Module | None,
) -> None:
    """Refuse what would fail, or mean nothing, in the first update."""
    for group, parts in (("regularizer", regularizers), ("generator_term", generator_terms)):
        for name, part in parts.items():
            if not callable(part):
                raise ValueError(
                    f"{group} {name} is settings without a class ({part}): choose it with "
                    f"{group}=[{name}], or remove its settings"
                )
    if getattr(augment, "needs_boundary", False) and not getattr(loss, "has_boundary", True):
        raise ValueError(
            f"{type(augment).__name__} goes by the critic's verdicts, and {type(loss).__name__} "
            "answers have no boundary between real and generated: choose another loss, or "
            "augment=diffaugment"
        )


def _judged(critique: Critique) -> Critique:
    """Ask the critic. Losses in fp32: under bf16 autocast logits have 8 bits of mantissa."""
    real, fake = critique.critic(critique.real).float(), critique.critic(critique.fake).float()
    return replace(critique, real_logits=real, fake_logits=fake)


def _with_live(known: Sequence[Tensor], live: Tensor, part: int) -> Tensor:
    """The logits of a batch, of which those of one part have a graph."""
    return torch.cat([*known[:part], live, *known[part + 1 :]])


def _share(value: Tensor, parts: int) -> Tensor:
    """A batch's value whose gradient, that of one part, is not thinned by a mean over parts."""
    return value + (parts - 1) * (value - value.detach())


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
