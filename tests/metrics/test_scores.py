import random

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from ganforge.metrics.comparison import Comparison
from ganforge.metrics.coverage import Precision
from ganforge.metrics.features import Features, extract
from ganforge.metrics.protocol import refuse_unlike
from ganforge.metrics.scorer import Origin, Scorer, subject
from ganforge.metrics.scores import FID, KID, InceptionScore
from ganforge.metrics.statistics import ImageSet, RealFeatures
from ganforge.utils.errors import UserError


def gaussian(count, mean, std, dim=4, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, dim, generator=rng) * std + mean


def exact_gaussian(count, mean, std, dim=4):
    """Features whose sample mean and covariance are exactly ``mean`` and ``std² I``."""
    x = gaussian(count, 0, 1, dim).double()
    x = x - x.mean(0)
    whiten = torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T
    return (x @ whiten * std + mean).float()


def features(values, logits=None):
    return Features(values, logits)


@pytest.fixture
def scorer(extractor, images, tmp_path):
    real = ImageSet(lambda: images(1500, 1), 1500, "hash", "train")
    return Scorer(extractor, real, tmp_path)


@pytest.fixture
def fidelity(images, extractor):
    """torch-fidelity's own way from images to scores, through the same extractor."""
    import torch_fidelity

    class Extractor(torch_fidelity.FeatureExtractorBase):
        def __init__(self, name, features_list, **kwargs):
            super().__init__(name, features_list)
            self.pixels = extractor

        @staticmethod
        def get_provided_features_list():
            return "features", "logits"

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "logits" if metric == "isc" else "features"

        def forward(self, batch):
            out = self.pixels(batch)
            named = {"features": out.features, "logits": out.logits}
            return tuple(named[name] for name in self.features_list)

    class Images(Dataset):
        def __init__(self, tensor):
            self.tensor = tensor

        def __len__(self):
            return len(self.tensor)

        def __getitem__(self, index):
            return self.tensor[index]

    torch_fidelity.register_feature_extractor("pixels", Extractor)

    def calculate(fake, real):
        return torch_fidelity.calculate_metrics(
            input1=Images(fake),
            input2=Images(real),
            feature_extractor="pixels",
            cuda=False,
            isc=True,
            fid=True,
            kid=True,
            kid_subsets=1,
            kid_subset_size=1500,  # all images: the value without the noise of subsets
            isc_splits=1,
            cache=False,
            save_cpu_ram=True,
            verbose=False,
        )

    return calculate


def test_all_three_equal_torch_fidelity_end_to_end(scorer, fidelity, images):
    fake = images(1500, 2, high=200)
    told = fidelity(fake, images(1500, 1))
    fid, kid, inception = scorer.score(fake.split(77))
    assert fid.value == pytest.approx(told["frechet_inception_distance"], rel=1e-4)
    assert kid.value == pytest.approx(told["kernel_inception_distance_mean"], rel=1e-5)
    assert inception.value == pytest.approx(told["inception_score_mean"], rel=1e-5)
    assert inception.std is None  # one split
    assert fid.value > 0.1


def test_fid_and_kid_agree_with_torchmetrics(scorer, images):
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    class Flat(torch.nn.Module):
        num_features = scorer.extractor.dim

        def forward(self, batch):
            return scorer.extractor(batch).features

    fake, real = images(1200, 2, high=200), images(1500, 1)
    fid, kid, _ = scorer.score(fake)
    for metric, score, relative in (
        (FrechetInceptionDistance(Flat(), input_img_size=(3, 8, 8)), fid, 1e-4),
        (KernelInceptionDistance(Flat(), subsets=100, subset_size=1000), kid, 0.05),
    ):
        metric.update(real, real=True)
        metric.update(fake, real=False)
        value = metric.compute()
        value = value[0] if isinstance(value, tuple) else value
        assert score.value == pytest.approx(float(value), rel=relative)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (3.0, 1.0), (0.0, 2.5), (-1.0, 0.5)])
def test_fid_of_two_gaussians_has_its_closed_form(mean, std):
    real = RealFeatures(features(exact_gaussian(500, 0.0, 1.0)))
    fake = features(exact_gaussian(400, mean, std))
    told = FID()(Comparison(real, fake))
    assert told.value == pytest.approx(4 * (mean**2 + (std - 1) ** 2), abs=1e-4)


def test_a_set_against_itself_shuffled_is_at_distance_zero():
    values = gaussian(600, 1, 2)
    shuffled = values[torch.randperm(600, generator=torch.Generator().manual_seed(1))]
    real = RealFeatures(features(values))
    assert FID()(Comparison(real, features(shuffled))).value == pytest.approx(0, abs=1e-4)


def test_inception_score_of_sure_and_of_clueless_logits():
    sure = torch.eye(10).repeat(100, 1) * 100
    told = InceptionScore()(Comparison(None, features(sure, sure)))
    assert told.value == pytest.approx(10, rel=1e-6)
    clueless = torch.zeros(1000, 10)
    told = InceptionScore()(Comparison(None, features(clueless, clueless)))
    assert told.value == pytest.approx(1, rel=1e-6)


def test_kid_is_near_zero_for_equal_distributions_and_grows_with_distance():
    real = RealFeatures(features(gaussian(1500, 0, 1)))
    near = KID()(Comparison(real, features(gaussian(1500, 0, 1, seed=1))))
    far = KID()(Comparison(real, features(gaussian(1500, 0.7, 1, seed=1))))
    assert abs(near.value) < 0.02 < far.value


def test_few_images_leave_a_note_and_no_other_kid(extractor, images, tmp_path):
    real = ImageSet(lambda: images(300, 1), 300, "hash", "train")
    fid, kid, _ = Scorer(extractor, real, tmp_path).score(images(250, 2))
    assert (fid.notes, kid.notes) == ((), ())
    real = ImageSet(lambda: images(12, 1), 12, "hash", "train")
    fid = Scorer(extractor, real, tmp_path, metrics=(FID(),)).score(images(250, 2))[0]
    assert "12 images for 12 features" in fid.notes[0]


def test_kid_is_the_mean_over_all_pairs():
    """Against its definition, pair by pair; independent samples, and pairs that are tied."""
    real, fake = gaussian(7, 0, 1).double(), gaussian(5, 0.4, 1, seed=1).double()
    k = lambda x, y: (x @ y / 4 + 1) ** 3  # noqa: E731
    by_hand = (
        sum(k(fake[i], fake[j]) for i in range(5) for j in range(5) if i != j) / 20
        + sum(k(real[i], real[j]) for i in range(7) for j in range(7) if i != j) / 42
        - 2 * sum(k(x, y) for x in fake for y in real) / 35
    )
    sides = RealFeatures(features(real.float())), features(fake.float())
    assert KID()(Comparison(*sides)).value == pytest.approx(by_hand.item(), rel=1e-5)
    tied = sum(
        k(fake[i], fake[j]) + k(real[i], real[j]) - k(fake[i], real[j]) - k(fake[j], real[i])
        for i in range(5)
        for j in range(5)
        if i != j
    )
    sides = RealFeatures(features(real[:5].float())), features(fake.float())
    told = KID()(Comparison(*sides, tied=True))
    assert told.value == pytest.approx(tied.item() / 20, rel=1e-5)


def test_kid_looks_at_so_many_real_images_and_says_how_many(images, extractor):
    real = ImageSet(lambda: images(400, 1), 400, "hash", "train", seed=3)
    metrics = (FID(), KID(most_real=150), Precision())
    fid, kid, precision = Scorer(extractor, real, metrics=metrics).score(images(100, 2))
    assert [score.protocol.n_real for score in (fid, kid, precision)] == [400, 150, 100]


def test_real_images_stand_beside_every_score(images, extractor):
    """As many real images against the others: noise is far from that, and real images are not."""
    real = ImageSet(lambda: images(900, 1), 900, "hash", "train", seed=3)
    scorer = Scorer(extractor, real, metrics=(FID(4), KID(), Precision(), InceptionScore()))
    noise = scorer.score(images(300, 2, high=100))
    other = scorer.score(images(300, 5))
    for low, high in zip(noise[:3], other[:3], strict=True):
        assert low.details == high.details
    fid, kid, precision, inception = (dict(score.details).get("real_images") for score in other)
    assert other[0].value == pytest.approx(fid, rel=0.35)
    assert noise[0].value > 5 * fid
    assert abs(kid) < 0.01
    assert precision == pytest.approx(other[2].value, abs=0.1)
    assert inception is None


def test_splits_of_the_inception_score_are_large():
    """Of 200 images p(y) fits these alone: the score is biased, so that there are fewer splits."""
    logits = gaussian(400, 0, 2, dim=10)
    told = InceptionScore(smallest=100)(Comparison(None, features(logits, logits)))
    assert dict(told.settings)["splits"] == 4
    whole = InceptionScore()(Comparison(None, features(logits, logits)))
    assert (dict(whole.settings)["splits"], whole.std) == (1, None)
    assert told.value < whole.value


def test_every_score_carries_its_protocol(scorer, images):
    scores = scorer.score(images(2000, 2), Origin(ema=False, seed=7, step=40))
    assert [s.name for s in scores] == ["fid2k_train", "kid2k_train", "is2k"]
    for score in scores:
        told = score.protocol
        assert (told.extractor, told.sha256, told.resize) == ("pixels", "0" * 64, "none")
        assert (told.n_fake, told.ema, told.seed, score.step) == (2000, False, 7, 40)
        assert dict(score.libraries).keys() >= {"torch", "torch-fidelity", "ganforge"}
    assert (scores[0].protocol.n_real, scores[0].protocol.data_hash) == (1500, "hash")
    assert (scores[2].protocol.n_real, scores[2].protocol.data_hash) == (0, "")


def test_scores_without_real_images_tell_what_the_model_learned(scorer, images):
    """An Inception Score of faces is not ranked beside one of digits, nor sizes together."""
    about = [subject("ab", (3, 32, 32)), subject("ab", (3, 64, 64)), subject("cd", (3, 32, 32))]
    scores = [scorer.score(images(100, 2), Origin(subject=a)) for a in about]
    faces, larger, digits = (next(s for s in told if s.metric == "is") for told in scores)
    for other, told in ((larger, "shape '3×32×32' against '3×64×64'"), (digits, "data 'ab' again")):
        with pytest.raises(UserError, match=told):
            refuse_unlike([faces, other])
    refuse_unlike(told[0] for told in scores)  # FID names its data itself


def test_logits_are_kept_only_for_who_reads_them(scorer, images, monkeypatch):
    kept = []

    def watched(*arguments, **options):
        told = extract(*arguments, **options)
        kept.append(told.logits is not None)
        return told

    monkeypatch.setattr("ganforge.metrics.scorer.extract", watched)
    monkeypatch.setattr("ganforge.metrics.statistics.extract", watched)
    scorer.score(images(50, 2))  # generated images, then real ones, then noise
    scorer.metrics = (FID(), KID())
    scorer.score(images(50, 2))
    assert kept == [True, False, False, False]


class Fails:
    """A metric whose arithmetic breaks down."""

    name, paired = "broken", True

    def __init__(self, error):
        self.error = error

    def __call__(self, sides):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [np.linalg.LinAlgError("no convergence"), torch.linalg.LinAlgError("singular"), MemoryError()],
)
def test_a_metric_that_fails_loses_no_other(error, scorer, images):
    scorer.metrics = (Fails(error), FID())
    fakes = ImageSet(lambda: images(30, 2), 30, "", "fake")
    (fid,), (told,) = scorer.attempt(fakes, Origin())
    assert fid.metric == "fid"
    assert told.startswith("broken failed (")
    scorer.metrics = (Fails(error),)
    with pytest.raises(UserError, match="broken failed"):
        scorer.attempt(fakes, Origin())


def test_measuring_never_moves_a_global_random_state(scorer, images):
    fake = images(1200, 2)
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    scorer.score(fake)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert before[2] == random.getstate()


def test_features_do_not_depend_on_how_images_are_batched(extractor, images):
    fake = images(500, 2)
    counts = []
    whole = extract(extractor, [fake])
    parts = extract(extractor, fake.split(33), batch_size=10, progress=counts.append)
    torch.testing.assert_close(whole.features, parts.features)
    torch.testing.assert_close(whole.logits, parts.logits)
    assert sum(counts) == 500
    assert max(counts) == 10


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (torch.rand(4, 3, 8, 8), "uint8 images in .* not torch.float32"),
        (torch.full((4, 3, 8, 8), float("nan")), "not torch.float32"),
        (torch.zeros(4, 2, 8, 8, dtype=torch.uint8), "1 or 3 channels"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "N×C×H×W"),
    ],
)
def test_what_is_not_uint8_images_is_refused(scorer, bad, sentence):
    with pytest.raises(UserError, match=sentence):
        scorer.score(bad)


def test_too_few_images_and_missing_logits_are_refused(scorer, images):
    with pytest.raises(UserError, match="no image"):
        scorer.score([])
    with pytest.raises(UserError, match="FID needs at least 2"):
        scorer.score(images(1, 2))
    with pytest.raises(UserError, match="Inception Score needs at least 10"):
        Scorer(scorer.extractor, scorer.real, metrics=(InceptionScore(),)).score(images(9, 2))
    with pytest.raises(UserError, match="no class logits"):
        InceptionScore()(Comparison(None, features(gaussian(20, 0, 1))))
