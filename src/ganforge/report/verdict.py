"""What the scores of a training say, in one sentence for somebody who knows none of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ganforge.metrics.protocol import NOISE, REAL, Score

PLACES = (
    (0.15, "hardly better than noise"),
    (0.4, "nearer to noise than to the real images"),
    (0.65, "halfway between noise and the real images"),
    (0.85, "nearer to the real images than to noise"),
    (0.97, "close to the real images"),
    (math.inf, "nearly as close to the real images as other real images are"),
)
"""Shares of the way from noise to real images, and what is said below each."""
FALLING, RISING = 0.95, 1.15
"""Of the best score before the last third: still falling below it; of the best: risen above it."""
MEANINGS = {
    "fid": "distance between the real and the generated images; 0 is alike",
    "fid_inf": "FID, as infinitely many generated images would have it",
    "kid": "another distance, fair to few images; 0 is alike",
    "is": "variety of clearly recognised kinds",
    "precision": "share of the generated images that look real",
    "recall": "share of the real images' variety that is generated",
    "density": "how densely generated images lie among real ones",
    "coverage": "share of the real images with a generated one near",
    "memorisation": "½: no nearer to training images than to held-out ones",
    "legibility": "how surely a classifier recognises what it sees",
    "ppl": "how smoothly pictures change along a walk",
    "l1": "mean difference to the true picture",
    "psnr": "likeness to the true picture, in decibels",
    "ssim": "likeness of structures to the true picture; 1 is alike",
}


@dataclass(frozen=True)
class Reference:
    """Where a score lies between noise (0) and as many real images (1)."""

    value: float
    real: float
    noise: float

    @property
    def share(self) -> float:
        """The share of the way from noise to real images; below 0 is worse than noise."""
        return (self.noise - self.value) / (self.noise - self.real)

    @property
    def words(self) -> str:
        """That place in words."""
        return next(words for share, words in PLACES if self.share < share)


def reference(score: Score) -> Reference | None:
    """The place of a score, where it is known what noise and real images score."""
    known = dict(score.details)
    real, noise = known.get(REAL), known.get(NOISE)
    numbers = (score.value, real, noise)
    if any(n is None or not math.isfinite(n) for n in numbers) or noise == real:
        return None
    return Reference(score.value, real, noise)


def trend(scores: Sequence[Score]) -> str:
    """``falling``, ``rising`` (the best was before), ``settled``, or ``""`` of too few scores."""
    seen = [score for score in scores if math.isfinite(score.value) and score.step is not None]
    if len(seen) < 3:
        return ""
    last = seen[-1]
    before = [score.value for score in seen if score.step <= last.step * 2 / 3]
    best = min(score.value for score in seen)
    if last.value > best * RISING and last.value > best:
        return "rising"
    return "falling" if before and last.value < min(before) * FALLING else "settled"


def verdict(scores: Sequence[Score], ended: bool = True) -> str:
    """One sentence on scores of one name in the order of their steps, less being better."""
    finite = [score for score in scores if math.isfinite(score.value)]
    if not finite:
        return ""
    if len(scores) > 1 and finite[-1].step == 0:
        return "No score after the first step is a number: the training broke down."
    best, last = min(finite, key=lambda score: score.value), finite[-1]
    if not ended and last.step == 0:
        return "Training has begun; the first score is of networks that have learned nothing."
    place = reference(best if ended else last)
    begin = place.words if place else f"{best.metric.strip('_').upper()} {best.value:.4g}"
    return f"{begin[0].upper()}{begin[1:]}{_outlook(trend(scores), best, ended)}."


def _outlook(direction: str, best: Score, ended: bool) -> str:
    if direction == "falling":
        return "; still getting better" + (": train on" if ended else "")
    if direction == "rising":
        kept = ", which checkpoints/best.ckpt keeps" if ended else ""
        return f"; it was best at step {best.step}{kept}, and has got worse since"
    if direction == "settled":
        return "; it no longer gets better: wider networks or more pictures help more than steps"
    return ""


def going_on(scores: Sequence[Score], run: str) -> list[str]:
    """The words of a command that trains for as long again, where that is promising; else none."""
    if trend(scores) != "falling":
        return []
    steps = f"trainer.max_steps={2 * (scores[-1].step or 0)}"
    return ["train", f"resume={run}", steps, "resume.allow_change=[trainer.max_steps]"]
