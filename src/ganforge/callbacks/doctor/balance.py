"""Rules on the two players' balance: what the critic says of real and of generated samples."""

from dataclasses import dataclass

from ganforge.callbacks.doctor.vitals import (
    UNKNOWN,
    Case,
    Finding,
    History,
    known,
    lately,
    mean,
)


@dataclass(frozen=True)
class CriticWins:
    """The critic's loss is at its floor: nothing is left for it to learn or to teach.

    ``loss_share`` is the part of the way from the floor to guessing, the mean over ``steps`` steps.
    Losses without a floor (Wasserstein, whose critic may win) are not judged.
    """

    loss_share: float = 0.05
    steps: int = 200

    def __call__(self, history: History, case: Case) -> Finding | None:
        """Compare the mean loss with the limit."""
        if case.floor is None or case.chance is None:
            return None
        recent = lately(history, self.steps)
        loss = mean(recent, "critic_loss")
        if not loss < case.floor + self.loss_share * (case.chance - case.floor):
            return None
        real, fake = mean(recent, "d_real"), mean(recent, "d_fake")
        return Finding(
            "critic_wins",
            "the critic wins",
            f"D(x) {real:.2f}, D(G(z)) {fake:.2f}, its loss {loss:.2g} where guessing costs "
            f"{case.chance:.2g}, for {self.steps} steps",
            case.usable(
                [
                    *case.flatter,
                    "augment=diffaugment",
                    "norm=spectral",
                    *case.rate("critic", 0.25),
                ]
            ),
            {"d_real": real, "d_fake": fake, "critic_loss": loss},
        )


@dataclass(frozen=True)
class CriticGuesses:
    """The critic guesses while samples are far from the data and come no nearer.

    In the end both players are at rest there, but before that a critic that has nothing to say
    teaches nothing. ``loss_share`` is its loss over that of guessing, the mean over ``steps``; far
    is a score above ``far`` of the first one, that of an untrained generator; nearer would be a
    score below ``nearer`` times the best before.
    """

    loss_share: float = 0.95
    steps: int = 300
    far: float = 0.5
    nearer: float = 0.95

    def __call__(self, history: History, case: Case) -> Finding | None:
        """Compare the mean loss, then the last score with those before."""
        if case.floor is None or case.chance is None:
            return None
        loss = mean(lately(history, self.steps), "critic_loss")
        if not (loss - case.floor) > self.loss_share * (case.chance - case.floor):
            return None
        first, *scores = [v.score for v in known(history, "score")] or [UNKNOWN]
        best = min([first, *scores[:-1]])
        if not scores or scores[-1] <= max(self.far * first, self.nearer * best):
            return None
        return Finding(
            "critic_guesses",
            "the critic guesses",
            f"its loss {loss:.3g} where guessing costs {case.chance:.3g}, for {self.steps} steps, "
            f"and the score is {scores[-1]:.3g}, at the start {first:.3g}",
            case.usable([*case.steeper, *case.rate("critic", 4), "model.n_critic=2"]),
            {"critic_loss": loss, "score": scores[-1], "first": first},
        )


@dataclass(frozen=True)
class CriticFooled:
    """The critic believes generated samples more than real ones, by ``margin``, over ``steps``.

    Its own loss forbids that: its labels are swapped, or it hardly learns.
    """

    margin: float = 0.1
    steps: int = 100

    def __call__(self, history: History, case: Case) -> Finding | None:
        """Compare the mean beliefs."""
        recent = lately(history, self.steps)
        real, fake = mean(recent, "d_real"), mean(recent, "d_fake")
        if not fake - real > self.margin:
            return None
        return Finding(
            "critic_fooled",
            "the critic takes generated samples for real and real ones for generated",
            f"D(x) {real:.2f}, D(G(z)) {fake:.2f} over {self.steps} steps; its labels are swapped "
            "or it learns too slowly",
            case.usable([*case.rate("critic", 4), "model.n_critic=2"]),
            {"d_real": real, "d_fake": fake},
        )


@dataclass(frozen=True)
class LogitsExplode:
    """The critic tells real from fake by more than any sensible critic could.

    A critic of slope 1 cannot part them by more than the samples are apart, ``case.distance``;
    ``times`` that, and at least ``least``, for ``steps`` steps on end is an explosion.
    """

    times: float = 3.0
    least: float = 50.0
    steps: int = 50

    def __call__(self, history: History, case: Case) -> Finding | None:
        """Look at the least gap of the last windows."""
        recent = known(lately(history, self.steps), "logit_real")  # a score's record has no logits
        gaps = [v.logit_real - v.logit_fake for v in recent]
        limit = max(self.least, self.times * case.distance)
        if not gaps or not all(abs(gap) > limit for gap in gaps):
            return None
        gap = gaps[-1]
        return Finding(
            "logits_explode",
            "the critic's logits explode",
            f"{recent[-1].logit_real:.3g} for real and {recent[-1].logit_fake:.3g} for generated "
            f"samples, where {limit:.3g} apart would already be much",
            case.usable(
                [
                    *([case.penalty] if case.chance is None else case.flatter),
                    "norm=spectral",
                    *case.rate("critic", 0.25),
                ]
            ),
            {"gap": gap, "limit": limit},
        )


@dataclass(frozen=True)
class CriticRemembers:
    """The critic knows its training images by heart: it denies unseen real ones their due.

    ``share`` is the limit of r_v (Karras et al. 2020, ADA, section 3), the mean over ``looks``
    looks at samples.
    """

    share: float = 0.5
    looks: int = 3

    def __call__(self, history: History, case: Case) -> Finding | None:
        """Take the mean of the last looks."""
        recent = known(history, "memory")[-self.looks :]
        share = mean(recent, "memory")
        if len(recent) < self.looks or not share > self.share:
            return None
        return Finding(
            "critic_remembers",
            "the critic learns the training images by heart",
            f"on real images that it has not seen, {share:.0%} of its verdict is gone (limit "
            f"{self.share:.0%}), since step {recent[0].step}",
            case.usable(["augment=diffaugment", "augment=translation", *case.flatter]),
            {"memory": share},
        )
