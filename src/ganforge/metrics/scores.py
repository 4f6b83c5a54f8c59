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

KID_REFERENCES = 5000  # images of each side that the interval of KID looks at


@dataclass(frozen=True)
class FID:
    """Fréchet distance of two Gaussians fitted to features (Heusel et al. 2017).

    ``replicates`` are bootstrapped sets for the interval; each costs another FID, so that training
    takes none. They change nothing of the value.
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
    value: float, sides: Comparison, replicates: int, widen: float = 1.0
) -> bootstrap.Interval | None:
    """None where so few replicates have no spread."""
    if replicates < 2:
        return None
    return bootstrap.of_spread(value, sides.frechet_replicates(replicates), widen)


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
    replicates: int = 20
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
        # A subset of N of n images varies n/N times as much around the FID of infinitely many.
        widen = np.sqrt(1 + (weights**2 * (count / sizes - 1)).sum())
        settings = {**asdict(self), "smallest": smallest}
        settings.pop("replicates")  # they change nothing of the value
        return Value(
            value,
            settings=tuple(settings.items()),
            notes=singular(min(smallest, len(sides.real)), sides.fake_moments),
            interval=_interval(value, sides, self.replicates, widen),
        )


@dataclass(frozen=True)
class KID:
    """Unbiased squared MMD with a cubic kernel over random subsets (Bińkowski et al. 2018).

    With fewer images than ``subset_size`` the subsets are as large as the smaller set, and the
    score's settings and notes say so.
    """

    subsets: int = 100
    subset_size: int = 1000
    rng_seed: int = 2020
    name: ClassVar[str] = "kid"
    paired: ClassVar[bool] = True

    def __call__(self, sides: Comparison) -> Value:
        """Lower is better; slightly negative values are possible."""
        from torch_fidelity.metric_kid import (
            KEY_METRIC_KID_MEAN,
            KEY_METRIC_KID_STD,
            kid_features_to_metric,
        )

        need_images(sides.fewest, 2, "KID")
        size = min(self.subset_size, sides.fewest)
        real, fake = sides.real.features.features, sides.fake.features
        result = kid_features_to_metric(
            fake,
            real,
            kid_subsets=self.subsets,
            kid_subset_size=size,
            rng_seed=self.rng_seed,
            verbose=False,
        )
        value = result[KEY_METRIC_KID_MEAN]
        influence = _influence(fake, real, self.rng_seed).numpy()
        moved = value - influence.mean()
        interval = bootstrap.of_mean(influence, self.rng_seed, lambda means: means + moved)
        small = f"subsets of {size} images, as there are no {self.subset_size}"
        return Value(
            value,
            result[KEY_METRIC_KID_STD],
            tuple({**asdict(self), "subset_size": size}.items()),
            (small,) if size < self.subset_size else (),
            interval,
        )


def _influence(fake: Tensor, real: Tensor, seed: int) -> Tensor:
    """First-order part of each generated image in the squared MMD, shape ``N`` (float64).

    Resampling the images themselves would compare copies with each other and break unbiasedness.
    """
    rng = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(fake), generator=rng)[:KID_REFERENCES]
    others = real[torch.randperm(len(real), generator=rng)[:KID_REFERENCES]]
    peers, blocks = fake[chosen], fake.split(512)
    to_fake = torch.cat([_kernel(block, peers).sum(1).double() for block in blocks])
    to_real = torch.cat([_kernel(block, others).mean(1).double() for block in blocks])
    count = torch.full_like(to_fake, len(chosen))
    # Nobody is its own peer.
    to_fake[chosen] -= (peers.square().mean(1) + 1).pow(3).double()
    count[chosen] -= 1
    return 2 * (to_fake / count - to_real)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """The cubic polynomial kernel of KID."""
    return (a @ b.T).div_(a.shape[1]).add_(1).pow_(3)


@dataclass(frozen=True)
class InceptionScore:
    """exp of the mean KL divergence of p(y|x) from p(y), over splits (Salimans et al. 2016)."""

    splits: int = 10
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
        need_images(count, self.splits, "the Inception Score")
        order = np.random.RandomState(self.rng_seed).permutation(count)
        scores, spreads = [], []
        for split in range(self.splits):
            # One split at a time: in double precision all of them would fill the memory.
            chosen = order[split * count // self.splits : (split + 1) * count // self.splits]
            part = logits[chosen]
            told = isc_features_to_metric(part, splits=1, shuffle=False)
            scores.append(told[KEY_METRIC_ISC_MEAN])
            spreads.append(_inception_replicates(part.double(), seed=split))
        value = float(np.mean(scores))
        return Value(
            value,
            float(np.std(scores)),
            tuple(asdict(self).items()),
            interval=bootstrap.of_spread(value, np.mean(spreads, 0)),
        )


def _inception_replicates(logits: Tensor, seed: int, replicates: int = 200) -> np.ndarray:
    """Inception Scores of bootstrapped images, all at once: exp(H(mean p) - mean H(p))."""
    rng = np.random.default_rng(seed)
    count = len(logits)
    shares = torch.from_numpy(rng.multinomial(count, np.full(count, 1 / count), replicates) / count)
    p = logits.softmax(1)
    own = -torch.special.entr(p).sum(1)
    entropy = torch.special.entr(shares @ p).sum(1)
    return (entropy + shares @ own).exp().numpy()
