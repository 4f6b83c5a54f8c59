"""Which features two sources of images are compared by."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ganforge.config.build import build, with_features
from ganforge.config.compose import compose_in_place
from ganforge.metrics.features import FeatureExtractor
from ganforge.scoring.images import Source
from ganforge.utils.errors import UserError


def fitting_features(
    chosen: Any, fake: Source, real: Source, data_dir: Path
) -> FeatureExtractor | None:
    """The chosen features, else those of the run, else those that fit the real data set.

    ``chosen`` is a name as of ``features=NAME``, or settings with a ``_target_``; None where
    neither side says which ones fit.
    """
    if isinstance(chosen, str):
        chosen = compose_in_place("evaluate", [f"features={chosen}"]).features
    own = OmegaConf.create(
        {"data": {"name": Path(real.name).stem}, "paths": {"data_dir": str(data_dir)}}
    )
    bases = [s.config for s in (fake, real) if s.config is not None]
    base = next((b for b in bases if OmegaConf.select(b, "features")), (*bases, own)[0])
    settings = with_features(OmegaConf.create({"features": chosen}), base)
    return build(settings) if settings else None


def need_features(chosen: Any, fake: Source, real: Source, data_dir: Path) -> FeatureExtractor:
    """The same; a UserError names the choices where there are none."""
    found = fitting_features(chosen, fake, real, data_dir)
    if found is None:
        raise UserError(
            f"choose the features that {fake.name} and {real.name} are compared by: "
            "features=efficientnet_lite0 (natural images, no download), features=inception (as in "
            "papers), features=dinov2, features=clip or features=cnn features.weights=cifar10"
        )
    return found
