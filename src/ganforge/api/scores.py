"""Scores from Python: by the function that ``ganforge evaluate`` calls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganforge.config.build import build
from ganforge.config.compose import compose_in_place
from ganforge.metrics.comparison import Metric
from ganforge.metrics.features import FeatureExtractor
from ganforge.metrics.protocol import Score
from ganforge.models.region import RegionTranslator
from ganforge.scoring import score as scoring
from ganforge.scoring.features import fitting_features, need_features
from ganforge.scoring.images import DEFAULT_COUNT, Source, of_run, of_split, open_source
from ganforge.scoring.region import score_region
from ganforge.scoring.translation import directions, score_direction
from ganforge.trained.load import LoadedRun, build_data, pick_device
from ganforge.utils.errors import UserError
from ganforge.utils.terminal import tell

USUAL = ("fid", "kid")


def score(
    fake: str | Path,
    real: str | Path,
    features: str | FeatureExtractor | None = None,
    metrics: Sequence[str | Metric] = USUAL,
    *,
    n: int | None = None,
    seed: int = 2020,
    size: int | None = None,
    channels: int | None = None,
    device: str = "auto",
    trusted: bool = False,
) -> list[Score]:
    """Score images against images: folders, zips, runs, bundles, data sets as ``avatars:test``.

    Every score carries how it was measured. ``n`` images of each side are compared, at most all;
    ``size`` brings files and data sets to one side, ``channels`` 1 compares in grey, 3 in colour.
    """
    config, data_dir = _settings()
    sources = [
        open_source(str(s), data_dir=data_dir, size=size, device=device, trusted=trusted)
        for s in (fake, real)
    ]
    return _score(
        *sources, features, _metrics(config, metrics), data_dir,
        n=n, n_real=n or scoring.MOST_REAL, seed=seed, channels=channels,
        device=pick_device(device),
    )  # fmt: skip


def score_generator(
    loaded: LoadedRun,
    features: str | FeatureExtractor | None = None,
    metrics: Sequence[str | Metric] = USUAL,
    *,
    n: int = 2000,
    split: str = "train",
    seed: int = 2020,
    data_path: str | None = None,
) -> list[Score]:
    """Score a trained generator against a split of its own data."""
    config, data_dir = _settings()
    data, fake = build_data(loaded, data_path), of_run(loaded)
    real, test = (of_split(each, data, each, fake.config) for each in (split, "test"))
    return _score(
        fake, real, features, _metrics(config, metrics), data_dir,
        n=n, seed=seed, training=real, held_out=test,
    )  # fmt: skip


def score_translator(
    loaded: LoadedRun,
    features: str | FeatureExtractor | None = None,
    metrics: Sequence[str | Metric] = USUAL,
    *,
    n: int = DEFAULT_COUNT,
    split: str = "test",
    seed: int = 2020,
    data_path: str | None = None,
) -> list[Score]:
    """Score a trained translator, every direction of it, on a split of its own data."""
    config, data_dir = _settings()
    data, chosen = build_data(loaded, data_path), _metrics(config, metrics)
    if isinstance(loaded.module, RegionTranslator):
        return list(score_region(loaded, data, split, n, seed).records)
    scores = []
    for way in directions(loaded, data, split, n, seed):
        extractor = features
        if features is None or isinstance(features, str):
            extractor = fitting_features(features, way.fake, way.real, data_dir)
        found = score_direction(way, extractor, chosen, data_dir / "statistics")
        scores += [*found.scores, *found.pixels]
        _tell(found.left_out)
    return scores


def _settings() -> tuple[Any, Path]:
    config = compose_in_place("evaluate", [])
    return config, Path(config.paths.data_dir).expanduser()


def _metrics(config: Any, wanted: Sequence[str | Metric]) -> list[Metric]:
    """Metrics by their names in ``conf/metrics``, or as they are."""
    known = config.metrics
    for name in wanted:
        if isinstance(name, str) and name not in known:
            raise UserError(f"there is no metric {name}: choose from {', '.join(known)}")
    return [build(known[each]) if isinstance(each, str) else each for each in wanted]


def _score(
    fake: Source,
    real: Source,
    features: str | FeatureExtractor | None,
    metrics: list[Metric],
    data_dir: Path,
    **how: Any,
) -> list[Score]:
    if features is None or isinstance(features, str):
        features = need_features(features, fake, real, data_dir)
    found = scoring.score(
        fake, real, features=features, metrics=metrics, cache_dir=data_dir / "statistics", **how
    )
    _tell(found.left_out)
    return found.scores


def _tell(left_out: Sequence[str]) -> None:
    for sentence in left_out:
        tell(f"left out: {sentence}")
