"""``ganforge evaluate``: score a trained generator, or any images against any others."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganforge.callbacks.image_quality import real_images
from ganforge.commands.bars import Bars
from ganforge.commands.class_accuracy import class_accuracy, need_classes
from ganforge.commands.common import (
    LoadedRun,
    build,
    build_all,
    build_data,
    load_run,
    pick_device,
    with_features,
)
from ganforge.commands.distributed import in_processes
from ganforge.commands.evaluate_region import evaluate_region
from ganforge.commands.evaluate_translation import evaluate_translation
from ganforge.commands.evaluation_files import write_scores
from ganforge.commands.path_length import path_length
from ganforge.commands.report import evaluation_table, protocol_line, shown
from ganforge.commands.sources import DEFAULT_COUNT, Source, in_channels, of_split, open_source
from ganforge.metrics.class_scores import ClassFID
from ganforge.metrics.comparison import Metric
from ganforge.metrics.protocol import Score
from ganforge.metrics.scorer import FAILURES, Origin, Scorer, failure, subject
from ganforge.metrics.statistics import RealImages
from ganforge.models.region import RegionTranslator
from ganforge.models.translator import Translator
from ganforge.utils.errors import UserError
from ganforge.utils.ranks import world
from ganforge.utils.terminal import terminal


@dataclass(frozen=True)
class Sides:
    """What is compared: images chosen on both sides, and whole splits for memorisation."""

    fake: Source
    real: Source
    fakes: RealImages
    reals: RealImages
    training: RealImages | None
    held_out: RealImages | None


def evaluate(config: DictConfig) -> None:
    """Print a table of scores and write them with their protocols."""
    with in_processes(config.device) as device:
        config = OmegaConf.merge(config, {"device": device})
        spec = config.fake or config.run
        if spec is None:
            raise UserError(
                "run must be given: run=outputs/<run>, or fake=... and real=... (folders, zips, "
                "data sets such as avatars:test, runs)"
            )
        loaded = _translator(config, spec)
        if loaded is not None:
            count = config.n or DEFAULT_COUNT
            region = isinstance(loaded.module, RegionTranslator)
            evaluate_it = evaluate_region if region else evaluate_translation
            evaluate_it(OmegaConf.merge(config, {"n": count, "run": spec}), loaded)
            return
        _evaluate(config, open_source(spec, config))


def _translator(config: DictConfig, spec: str) -> LoadedRun | None:
    """The run, if its model translates."""
    if config.real is not None or not (Path(spec) / ".hydra" / "config.yaml").is_file():
        return None
    loaded = load_run(spec, config.checkpoint, config.device, config.trusted)
    return loaded if isinstance(loaded.module, Translator) else None


def _evaluate(config: DictConfig, fake: Source) -> None:
    sides = choose(config, fake)
    need_classes(config, sides)
    extractor = build_extractor(config, sides)
    metrics = [m for m in build_all(config, "metrics", Metric) if _applies(m, sides)]
    with Bars() as bars:
        scorer = Scorer(
            extractor,
            sides.reals,
            Path(config.paths.data_dir).expanduser() / "statistics",
            metrics,
            device=_device(config, sides),
            training=sides.training,
            held_out=sides.held_out,
            bars=bars,
        )
        origin = _origin(config, sides)
        scores, left_out = scorer.attempt(sides.fakes, origin)
        for extra in (path_length, class_accuracy):
            try:
                more, note = extra(config, sides, scorer, origin)
            except FAILURES as error:  # the scores so far are not lost
                more, note = [], failure(extra.__name__.replace("_", " "), error)
            scores += more
            left_out += [note] if note else []
    if world()[0] == 0:
        tell(config, sides, scores, left_out)


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


def tell(config: DictConfig, sides: Sides, scores: list[Score], left_out: list[str]) -> None:
    """Print the table and write the records."""
    path = write_scores(scores, *_place(config, sides))
    console = terminal()
    step = f", checkpoint of step {scores[0].step}" if sides.fake.loaded else ""
    title = f"{sides.fake.name} against {sides.real.name}{step}"
    console.print(title, style="bold", soft_wrap=True)
    console.print(evaluation_table(scores))
    console.print(protocol_line(scores[0]), style="dim", soft_wrap=True)
    for note in dict.fromkeys(note for score in scores for note in score.notes):
        console.print(f"note: {note}", soft_wrap=True)
    for note in left_out:
        console.print(f"left out: {note}", soft_wrap=True)
    console.print(f"written to {shown(path)}", soft_wrap=True)


def _place(config: DictConfig, sides: Sides) -> tuple[Path, str | None, str]:
    """Folder, wanted file, and what a file's name begins with where images are named."""
    if sides.fake.loaded is not None and config.real is None:
        return sides.fake.loaded.place("evaluations"), config.output, ""
    names = "_vs_".join(Path(s.name.replace(":", "-")).stem for s in (sides.fake, sides.real))
    return Path(config.paths.outputs) / "evaluations", config.output, f"{names}_"
