"""``ganforge evaluate`` on a translator: both ways, against the truth where it is known."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import Tensor

from ganforge.callbacks.image_quality import real_images
from ganforge.commands.common import LoadedRun, build, build_data
from ganforge.commands.report import protocol_line, score_table
from ganforge.metrics.pairs import L1, measure_pairs, pair_metrics
from ganforge.metrics.protocol import Protocol, Score
from ganforge.metrics.scorer import Scorer, library_versions
from ganforge.metrics.scores import FID, KID
from ganforge.utils.errors import UserError
from ganforge.utils.files import write_json

SPLIT = "test"  # a translator is judged by images that it was not trained on
BATCH = 100


@dataclass(frozen=True)
class Direction:
    """One direction on test images: uint8 batches, equally cut; ``truth`` where it is known."""

    name: str
    source: list[Tensor]
    fake: list[Tensor]
    truth: list[Tensor] | None
    cycle: list[Tensor] | None


def evaluate_translation(config: DictConfig, loaded: LoadedRun) -> None:
    """Print a table of scores a direction and write all with their protocols."""
    if config.n < 2:
        raise UserError(f"n={config.n} is too few: scores need at least 2 images")
    data = build_data(loaded, config.data_path)
    extractor = _extractor(config, loaded)
    console, records, notes = Console(), [], []
    for way in loaded.module.translators:
        direction = translated(loaded.module, data, way, config.n)
        scores = _feature_scores(config, loaded, data, direction, extractor)
        columns, more = _pixel_scores(loaded, data, direction)
        notes += more
        title = f"{loaded.run.folder.name}, {way}, checkpoint of step {loaded.step}"
        if scores:
            console.print(f"[bold]{title}[/]", score_table({"translation": scores}), sep="\n")
            console.print(f"[dim]{protocol_line(scores[0])}[/]")
        console.print(
            f"[bold]{title}: pixels, of the {SPLIT} split[/]", score_table(columns), sep="\n"
        )
        records += [score.to_dict() for score in chain(scores, *columns.values())]
        notes += [note for score in scores for note in score.notes]
    if extractor is None:
        notes.append("FID and KID are left out: choose features, as in features=efficientnet_lite0")
    path = loaded.run.folder / "evaluations" / f"translation{config.n}_{SPLIT}.json"
    write_json(records, path)
    for note in dict.fromkeys(notes):
        console.print(f"note: {note}", soft_wrap=True)
    console.print(f"written to {path}", soft_wrap=True)


def translated(module: Any, data: Any, way: str, count: int) -> Direction:
    """Translate the first ``count`` test images, and back where the model knows the way."""
    here, there = way.split("_to_")
    images = data.domain(here).split(SPLIT).images[:count]
    source = list(images.split(BATCH))
    fake = [module.translate(batch, way).cpu() for batch in source]
    back = f"{there}_to_{here}"
    cycle = None
    if back in module.translators:
        cycle = [module.translate(batch, back).cpu() for batch in fake]
    truth = None
    if data.truth:
        truth = list(data.domain(there).split(SPLIT).images[:count].split(BATCH))
    return Direction(way, source, fake, truth, cycle)


def _extractor(config: DictConfig, loaded: LoadedRun) -> Any:
    chosen = OmegaConf.select(config, "features") or loaded.config.get("features")
    if not chosen:
        return None
    return build(OmegaConf.merge(loaded.config, {"features": chosen}).features)


def _feature_scores(
    config: DictConfig, loaded: LoadedRun, data: Any, direction: Direction, extractor: Any
) -> list[Score]:
    """FID, and KID beside it: test sets of translation are small, and FID is biased there."""
    if extractor is None:
        return []
    target = data.domain(direction.name[-1])
    scorer = Scorer(
        extractor,
        real_images(target, SPLIT, config.n, config.seed),
        f"{loaded.config.paths.data_dir}/statistics",
        (FID(), KID()),
        device=loaded.module.device,
    )
    fakes: Iterator[Tensor] = iter(direction.fake)
    scores = scorer.score(fakes, loaded.ema, config.seed, loaded.step)
    return [score.of_run(f"{loaded.run.folder.name} {direction.name}") for score in scores]


def _pixel_scores(
    loaded: LoadedRun, data: Any, direction: Direction
) -> tuple[dict[str, list[Score]], list[str]]:
    """Columns of equal rows: the translation, and the untouched input where there is a truth."""
    columns: dict[str, list[Score]] = {"translation": []}
    notes: list[str] = []
    if direction.truth is not None:
        metrics, notes = pair_metrics()
        columns["untouched input"] = []
        for metric in metrics:
            made = {"translation": direction.fake, "untouched input": direction.source}
            values = {
                name: measure_pairs(metric, images, direction.truth, direction.source)
                for name, images in made.items()
            }
            if None not in values.values():
                for name, value in values.items():
                    score = _score(metric.name, value, loaded, data, direction, name)
                    columns[name].append(score)
    if direction.cycle is not None:
        value = measure_pairs(L1(), direction.cycle, direction.source, direction.source)
        score = _score("cycle_l1_", value, loaded, data, direction, "translation")
        if "untouched input" in columns:
            nothing = _score("cycle_l1_", 0.0, loaded, data, direction, "untouched input")
            columns["untouched input"].append(nothing)
        columns["translation"].append(score)
    return columns, notes


def _score(
    metric: str, value: float, loaded: LoadedRun, data: Any, direction: Direction, what: str
) -> Score:
    count = sum(map(len, direction.source))
    target = data.domain(direction.name[-1])
    protocol = Protocol(
        extractor="pixels",
        sha256="",
        resize="none",
        n_fake=count,
        ema=loaded.ema,
        n_real=count,
        split=SPLIT,
        data_hash=target.content_hash(SPLIT),
        settings=(("direction", direction.name), ("of", what)),
    )
    run = loaded.run.folder.name
    return Score(metric, value, protocol, None, loaded.step, run, (), library_versions())
