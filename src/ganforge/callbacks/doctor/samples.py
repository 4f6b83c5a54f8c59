"""Rules on what the generator draws, on the data that it is shown, and on the score."""

from dataclasses import dataclass

from ganforge.callbacks.doctor.vitals import Case, Finding, History, known


@dataclass(frozen=True)
class NoiseIgnored:
    """All latents give one sample: a diversity below ``diversity`` at ``looks`` looks on end."""

    diversity: float = 1e-3
    looks: int = 2

    def __call__(self, history: History, case: Case) -> Finding | None:
        """Look at the largest of the last diversities."""
        recent = known(history, "diversity")[-self.looks :]
        if len(recent) < self.looks or max(v.diversity for v in recent) >= self.diversity:
            return None
        return Finding(
            "noise_ignored",
            "the generator draws one sample whatever its input",
            f"samples differ by {recent[-1].diversity:.1e} of what the data does since step "
            f"{recent[0].step}: the input does not reach the output, or its units are dead",
            case.usable(case.rate("generator", 0.25)),
            {"diversity": recent[-1].diversity},
        )


@dataclass(frozen=True)
class ModesCollapse:
    """Samples are much more alike than the data: below ``diversity`` at ``looks`` looks on end.

    Not before ``grace`` steps: an untrained generator draws one grey.
    """

    diversity: float = 0.1
    looks: int = 3
    grace: int = 300

    def __call__(self, history: History, case: Case) -> Finding | None:
        """Look at the largest of the last diversities, and at the best ever."""
        looked = known(history, "diversity")
        recent = looked[-self.looks :]
        if len(recent) < self.looks or recent[-1].step < self.grace:
            return None
        if max(v.diversity for v in recent) >= self.diversity:
            return None
        best = max(looked, key=lambda v: v.diversity)
        return Finding(
            "modes_collapse",
            "samples have collapsed",
            f"they differ by {recent[-1].diversity:.0%} of what the data does, since step "
            f"{recent[0].step} (at best {best.diversity:.0%}, step {best.step})",
            case.usable([*case.flatter, "augment=diffaugment", *case.rate("generator", 0.5)]),
            {"diversity": recent[-1].diversity, "best": best.diversity},
        )


@dataclass(frozen=True)
class DataAlike:
    """The training images are all but one image: they differ by ``spread`` of their size."""

    spread: float = 0.01

    def __call__(self, history: History, case: Case) -> Finding | None:  # noqa: ARG002
        """Look at the data alone."""
        if not case.data_spread < self.spread:
            return None
        return Finding(
            "data_alike",
            "the training images are all alike",
            f"two of them differ by {case.data_spread:.1%} of their size: check what the data set "
            "holds",
            (),
            {"data_spread": case.data_spread},
        )


@dataclass(frozen=True)
class ScoreRises:
    """The score has passed its best: above ``times`` it at each of the last ``scores`` scores."""

    times: float = 1.25
    scores: int = 2

    def __call__(self, history: History, case: Case) -> Finding | None:
        """Compare the last scores with the best."""
        scored = known(history, "score")
        if len(scored) <= self.scores:
            return None
        best = min(scored, key=lambda v: v.score)
        recent = scored[-self.scores :]
        if min(v.score for v in recent) <= self.times * best.score or best.step >= recent[0].step:
            return None
        return Finding(
            "score_rises",
            "quality has passed its best",
            f"{recent[-1].score:.3g} at step {recent[-1].step} against {best.score:.3g} at step "
            f"{best.step}, whose weights are in checkpoints/best.ckpt",
            case.usable(["augment=diffaugment", *case.flatter, f"trainer.max_steps={best.step}"]),
            {"score": recent[-1].score, "best": best.score},
        )
