"""``ganforge evaluate``: score a trained model, or any images against any others."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganforge.config.build import build, build_all
from ganforge.metrics.comparison import Metric
from ganforge.models.region import RegionTranslator
from ganforge.models.translator import Translator
from ganforge.report.bars import Bars
from ganforge.report.evaluations import print_direction, print_notes, print_region, print_scores
from ganforge.scoring.distributed import in_processes
from ganforge.scoring.features import fitting_features, need_features
from ganforge.scoring.images import DEFAULT_COUNT, Source, of_split, open_source
from ganforge.scoring.records import write_scores
from ganforge.scoring.region import score_region
from ganforge.scoring.score import score
from ganforge.scoring.translation import directions, score_direction
from ganforge.trained.bundle import is_bundle
from ganforge.trained.health import refuse_broken
from ganforge.trained.load import LoadedRun, build_data, load_run, pick_device
from ganforge.trained.named import place_of
from ganforge.utils.errors import UserError
from ganforge.utils.images import save_image
from ganforge.utils.ranks import world
from ganforge.utils.runs import Run
from ganforge.utils.terminal import relative_path, terminal

WITHOUT_USE = ("size", "channels", "held_out", "classifier")  # of a translator


def evaluate(config: DictConfig) -> None:
    """Print a table of scores and write them with their protocols."""
    with in_processes(config.device) as device:
        spec = config.fake or config.run
        if spec is None:
            raise UserError(
                "run must be given: run=outputs/<run>, or fake=... and real=... (folders, zips, "
                "data sets such as avatars:test, runs)"
            )
        loaded = _translator(config, spec, device)
        if loaded is None:
            _evaluate_images(config, spec, device)
        elif isinstance(loaded.module, RegionTranslator):
            _evaluate_region(config, loaded)
        else:
            _evaluate_translation(config, loaded)


def _translator(config: DictConfig, spec: str, device: str) -> LoadedRun | None:
    """The run, if its model translates."""
    if config.real is not None:
        return None
    folder = place_of(spec)
    if not (is_bundle(folder) or Run(folder).config.is_file()):
        return None
    loaded = load_run(folder, config.checkpoint, device, config.trusted)
    if not isinstance(loaded.module, Translator):
        return None
    # Features name the data that they fit: unresolved they can be looked at.
    given: Any = OmegaConf.to_container(config, resolve=False)
    region = isinstance(loaded.module, RegionTranslator)
    for key in (*WITHOUT_USE, "features") if region else WITHOUT_USE:
        if given.get(key) is not None:
            why = (
                "changes a region: its windows are compared with the truth"
                if region
                else "translates: its test images are compared as they are"
            )
            raise UserError(f"{key} has no use with {loaded.run.folder}, which {why}; leave it out")
    refuse_broken(loaded)
    return loaded


def _evaluate_images(config: DictConfig, spec: str, device: str) -> None:
    data_dir = _data_dir(config)
    chosen, classifier = (OmegaConf.select(config, key) for key in ("features", "classifier"))
    fake, real, training, held_out = _sources(config, spec, device)
    with Bars() as bars:
        scores, left_out, copies = score(
            fake,
            real,
            features=need_features(chosen, fake, real, data_dir),
            metrics=build_all(config, "metrics", Metric),
            cache_dir=data_dir / "statistics",
            n=config.n,
            n_real=config.n_real,
            seed=config.seed,
            training=training,
            held_out=held_out,
            channels=config.channels,
            path_pairs=config.path_pairs,
            classifier=build(classifier) if classifier else None,
            device=pick_device(device),
            bars=bars,
        )
    if world()[0] != 0:
        return
    place, prefix = Path(config.paths.outputs) / "evaluations", ""
    if fake.loaded is not None and config.real is None:
        place = fake.loaded.place("evaluations")
    else:
        names = (Path(source.name.replace(":", "-")).stem for source in (fake, real))
        prefix = "_vs_".join(names) + "_"
    path = write_scores(scores, place, config.output, prefix)
    console = terminal()
    step = f", checkpoint of step {scores[0].step}" if fake.loaded else ""
    print_scores(console, f"{fake.name} against {real.name}{step}", scores)
    print_notes(console, scores, left_out)
    console.print(f"written to {relative_path(path)}", soft_wrap=True)
    if copies is not None:
        picture = path.with_name(f"{path.stem}_nearest.png")
        save_image(copies, picture)
        console.print(f"nearest to training images: {relative_path(picture)}", soft_wrap=True)


def _sources(
    config: DictConfig, spec: str, device: str
) -> tuple[Source, Source, Source | None, Source | None]:
    """Generated and real images, and what memorisation looks at; of a run its own data."""

    def opened(name: str) -> Source:
        return open_source(
            name,
            data_dir=_data_dir(config),
            size=config.size,
            value_range=config.value_range,
            checkpoint=config.checkpoint,
            data_path=config.data_path,
            device=device,
            trusted=config.trusted,
        )

    fake, held_out = opened(spec), config.held_out and opened(config.held_out)
    if config.real is not None:
        real = opened(config.real)
        return fake, real, real if held_out else None, held_out
    if fake.loaded is None:
        raise UserError(f"real must be given: what is {fake.name} to be compared with?")
    data, split = build_data(fake.loaded, config.data_path), config.split or "train"
    real, test = (of_split(each, data, each, fake.config) for each in (split, "test"))
    return fake, real, real, held_out or test


def _evaluate_translation(config: DictConfig, loaded: LoadedRun) -> None:
    """Both ways, on the test split where ``split`` is null: images it was not trained on."""
    data, split, count = build_data(loaded, config.data_path), config.split or "test", config.n
    console, records, notes = terminal(quiet=world()[0] != 0), [], []
    metrics, data_dir = build_all(config, "metrics", Metric), _data_dir(loaded.config)
    chosen = OmegaConf.select(config, "features")
    for way in directions(loaded, data, split, count or DEFAULT_COUNT, config.seed):
        features = fitting_features(chosen, way.fake, way.real, data_dir)
        results = score_direction(way, features, metrics, data_dir / "statistics")
        print_direction(console, f"{way.fake.name}, checkpoint of step {loaded.step}", results)
        records += [*results.scores, *results.pixels]
        notes += results.left_out
    print_notes(console, records, notes, "note")
    if world()[0] == 0:
        path = write_scores(records, loaded.place("evaluations"), config.output)
        console.print(f"written to {relative_path(path)}", soft_wrap=True)


def _evaluate_region(config: DictConfig, loaded: LoadedRun) -> None:
    """Inside the region of unseen people."""
    if world()[0] != 0:
        return
    data, split = build_data(loaded, config.data_path), config.split or "test"
    found = score_region(loaded, data, split, config.n or DEFAULT_COUNT, config.seed)
    console, title = terminal(), f"{loaded.run.folder.name}, checkpoint of step {loaded.step}"
    print_region(console, title, found)
    path = write_scores(found.records, loaded.place("evaluations"), config.output)
    console.print(f"written to {relative_path(path)}", soft_wrap=True)


def _data_dir(config: DictConfig) -> Path:
    return Path(config.paths.data_dir).expanduser()
