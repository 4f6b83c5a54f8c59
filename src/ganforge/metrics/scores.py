"""The three scores that most papers quote: FID, KID and Inception Score."""

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ganforge.metrics import bootstrap
from ganforge.metrics.comparison import Comparison, Value, need_images
from ganforge.metrics.frechet import frechet_distance
from ganforge.utils.errors import UserError


@dataclass(frozen=True)
class FID:
    """Fréchet distance of two Gaussians fitted to features (Heusel et al. 2017).

    ``replicates`` are sets of half of the images, for the interval; each costs another FID, so that
    training takes none. They change nothing of the value.
    """

    replicates: int = 0
    name: ClassVar[str] = "fid"
    paired: ClassVar[bool] = True

    def __call__(self, sides: Comparison) -> Value:
        """Lower is better; 0 is the distance of a set to itself."""
        need_images(sides.fewest, 2, "FID")
        value = frechet_distance(sides.real.moments, sides.fake_moments)
        interval = _interval(value, sides, self.replicates)
        return Value(value, notes=singular(sides.fewest, sides.fake_moments), interval=interval)


def _interval(
    value: float, sides: Comparison, replicates: int, first: float = 1.0, second: float = 1.0
) -> bootstrap.Interval | None:
    """None where so few replicates, or images, have no spread."""
    if replicates < 4 or len(sides.fake) < 4:
        return None
    return sides.frechet_variance(replicates).interval(value, first, second)


def singular(count: int, moments: object) -> tuple[str, ...]:
    """A note if so few images leave the covariance without full rank."""
    dim = len(moments.mean)
    note = f"{count} images for {dim} features: the covariance is singular, FID is biased"
    return (note,) if count <= dim else ()


@dataclass(frozen=True)
class FIDInfinity:
    """FID extrapolated to infinitely many generated images (Chong & Forsyth 2020).

    FID is linear in 1/n: a line through the FIDs of ``points`` random subsets, evenly spaced from
    ``smallest`` (at most half of the images) to all, is read at 1/n = 0.
    """

    points: int = 15
    smallest: int = 5000
    rng_seed: int = 2020
    replicates: int = 40
    name: ClassVar[str] = "fid_inf"
    paired: ClassVar[bool] = True

    def __call__(self, sides: Comparison) -> Value:
        """Lower is better; comparable between counts, unlike FID."""
        count = len(sides.fake)
        need_images(sides.fewest, 20, "FID of infinitely many images")
        smallest = min(self.smallest, count // 2)
        rng = np.random.default_rng(self.rng_seed)
        sizes = np.linspace(smallest, count, self.points).astype(int)
        subsets = (rng.choice(count, size, replace=False) for size in sizes)
        fids = sides.frechet_of(subsets)
        # The intercept of a least-squares line is a weighted sum of its points.
        weights = np.linalg.pinv(np.stack([np.ones(len(sizes)), 1 / sizes], 1))[0]
        value = float(weights @ fids)
        # A subset of N of n images varies n/N times as much around the FID of infinitely many, and
        # by (n/N)² in the second order.
        first, second = (1 + (weights**2 * ((count / sizes) ** k - 1)).sum() for k in (1, 2))
        settings = {**asdict(self), "smallest": smallest}
        settings.pop("replicates")  # they change nothing of the value
        return Value(
            value,
            settings=tuple(settings.items()),
            notes=singular(min(smallest, len(sides.real)), sides.fake_moments),
            # Of pairs the subsets would have to be of both sides, and there are few real images.
            interval=None
            if sides.tied
            else _interval(value, sides, self.replicates, first, second),
        )


@dataclass(frozen=True)
class KID:
    """Unbiased squared MMD with a cubic kernel (Bińkowski et al. 2018), over all pairs of images.

    At most ``most_real`` real images are looked at; being fewer biases nothing. The interval is of
    both samples: equal distributions have the value 0.
    """

    most_real: int = 10_000
    name: ClassVar[str] = "kid"
    paired: ClassVar[bool] = True

    def __call__(self, sides: Comparison) -> Value:
        """Lower is better; slightly negative values are possible."""
        need_images(sides.fewest, 2, "KID")
        told = sides.squared_mmd(self.most_real)
        half = bootstrap.NORMAL * told.variance**0.5
        return Value(
            told.value,
            settings=(("estimator", "all pairs"),),
            interval=(told.value - half, told.value + half),
            n_real=len(sides.peers(self.most_real)),
        )


@dataclass(frozen=True)
class InceptionScore:
    """exp of the mean KL divergence of p(y|x) from p(y), over splits (Salimans et al. 2016).

    Of few images p(y) is known too well by the images themselves, and the score is too low: a split
    has ``smallest`` images at least, as in papers, and there are at most ``splits``.
    """

    splits: int = 10
    smallest: int = 5000
    rng_seed: int = 2020
    name: ClassVar[str] = "is"
    paired: ClassVar[bool] = False
    reads_logits: ClassVar[bool] = True

    def __call__(self, sides: Comparison) -> Value:
        """Higher is better; between 1 and the number of classes."""
        from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

        logits = sides.fake.logits
        if logits is None:
            raise UserError(
                "This feature extractor has no class logits: leave the Inception Score out, or "
                "choose features=cnn or features=inception."
            )
        count = len(logits)
        need_images(count, 10, "the Inception Score")
        splits = max(1, min(self.splits, count // self.smallest))
        order = np.random.RandomState(self.rng_seed).permutation(count)
        scores, spreads = [], []
        for split in range(splits):
            # One split at a time: in double precision all of them would fill the memory.
            chosen = order[split * count // splits : (split + 1) * count // splits]
            part = logits[chosen]
            told = isc_features_to_metric(part, splits=1, shuffle=False)
            scores.append(told[KEY_METRIC_ISC_MEAN])
            spreads.append(_inception_replicates(part.double(), seed=split))
        value = float(np.mean(scores))
        return Value(
            value,
            float(np.std(scores)) if splits > 1 else None,
            (("splits", splits), ("rng_seed", self.rng_seed)),
            interval=bootstrap.of_spread(value, np.mean(spreads, 0)),
        )


def _inception_replicates(logits: Tensor, seed: int, replicates: int = 400) -> np.ndarray:
    """Inception Scores of bootstrapped images, all at once: exp(H(mean p) - mean H(p))."""
    rng = np.random.default_rng(seed)
    count = len(logits)
    shares = torch.from_numpy(rng.multinomial(count, np.full(count, 1 / count), replicates) / count)
    p = logits.softmax(1)
    own = -torch.special.entr(p).sum(1)
    entropy = torch.special.entr(shares @ p).sum(1)
    return (entropy + shares @ own).exp().numpy()
