"""Score generated images against real ones, whoever made them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganforge.config.build import build, with_features
from ganforge.metrics.class_scores import ClassFID
from ganforge.metrics.comparison import Metric
from ganforge.metrics.scorer import Origin, subject
from ganforge.metrics.sets import real_images
from ganforge.metrics.statistics import RealImages
from ganforge.models.translator import Translator
from ganforge.scoring.images import DEFAULT_COUNT, Source, in_channels, of_split, open_source
from ganforge.trained.load import LoadedRun, build_data, load_run, pick_device
from ganforge.utils.errors import UserError


@dataclass(frozen=True)
class Sides:
    """What is compared: images chosen on both sides, and whole splits for memorisation."""

    fake: Source
    real: Source
    fakes: RealImages
    reals: RealImages
    training: RealImages | None
    held_out: RealImages | None


def _translator(config: DictConfig, spec: str) -> LoadedRun | None:
    """The run, if its model translates."""
    if config.real is not None or not (Path(spec) / ".hydra" / "config.yaml").is_file():
        return None
    loaded = load_run(spec, config.checkpoint, config.device, config.trusted)
    return loaded if isinstance(loaded.module, Translator) else None


def _origin(config: DictConfig, sides: Sides) -> Origin:
    """What the records tell of the scored images."""
    shape = (config.channels or sides.fake.channels, sides.fake.size)
    about = subject((sides.training or sides.reals).data_hash, shape)
    return replace(sides.fake.origin(sides.fakes.seed), subject=about)


def _applies(metric: Metric, sides: Sides) -> bool:
    """No word is lost on classes where no model makes any."""
    return not isinstance(metric, ClassFID) or sides.fakes.labels is not None


def choose(config: DictConfig, fake: Source) -> Sides:
    """Both sides' images; the real ones of a run are those of its own data."""
    if config.real is not None:
        real = open_source(config.real, config)
        training = real.take(None, config.seed) if config.held_out is not None else None
        held_out = None
    elif fake.loaded is not None:
        data = build_data(fake.loaded, config.data_path)
        split = config.split or "train"
        real = of_split(split, data, split, fake.loaded.config)
        training, held_out = (
            real_images(data, split, seed=config.seed) for split in ("train", "test")
        )
    else:
        raise UserError(f"real must be given: what is {fake.name} to be compared with?")
    if config.held_out is not None:
        held_out = open_source(config.held_out, config).take(None, config.seed)
    n = config.n if fake.count is not None else config.n or DEFAULT_COUNT
    n_real = n if real.count is None else config.n_real  # of a generator as many
    fakes, reals = fake.take(n, config.seed), real.take(n_real, config.seed)
    chosen = [fakes, reals, training, held_out]
    if config.channels is not None:
        if config.channels not in (1, 3):
            raise UserError(f"channels={config.channels} is neither 1 (grey) nor 3 (colour)")
        chosen = [images and in_channels(images, config.channels) for images in chosen]
    elif fake.channels != real.channels:
        words = {1: "grey", 3: "in colour"}
        raise UserError(
            f"{fake.name} is {words[fake.channels]} and {real.name} {words[real.channels]}: "
            "channels=1 compares both in grey, channels=3 both in colour"
        )
    return Sides(fake, real, *chosen)


def build_extractor(config: DictConfig, sides: Sides) -> Any:
    """The chosen features, else those of the run, else those that fit the real data set."""
    names = OmegaConf.create(
        {"data": {"name": Path(sides.real.name).stem}, "paths": {**config.paths}}
    )
    bases = [s.config for s in (sides.fake, sides.real) if s.config is not None]
    base = next((b for b in bases if OmegaConf.select(b, "features")), (*bases, names)[0])
    chosen = with_features(config, base)
    if not chosen:
        raise UserError(
            f"choose the features that {sides.fake.name} and {sides.real.name} are compared by: "
            "features=efficientnet_lite0 (natural images, no download), features=inception (as in "
            "papers), features=dinov2, features=clip or features=cnn features.weights=cifar10"
        )
    return build(chosen)


def _device(config: DictConfig, sides: Sides) -> Any:
    return sides.fake.loaded.module.device if sides.fake.loaded else pick_device(config.device)
