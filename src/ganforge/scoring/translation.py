"""``ganforge evaluate`` on a translator: both ways, against the truth where it is known."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import Tensor

from ganforge.config.build import build, build_all, with_features
from ganforge.metrics.class_scores import ClassFID
from ganforge.metrics.comparison import Metric
from ganforge.metrics.coverage import Memorisation
from ganforge.metrics.pairs import L1, measure_pairs, pair_metrics
from ganforge.metrics.protocol import Protocol, Score
from ganforge.metrics.scorer import Scorer, library_versions
from ganforge.metrics.sets import targets
from ganforge.metrics.statistics import RealImages
from ganforge.report.tables import evaluation_table, protocol_line, score_table
from ganforge.scoring.images import origin
from ganforge.scoring.records import write_scores
from ganforge.trained.health import refuse_broken
from ganforge.trained.load import LoadedRun, build_data
from ganforge.utils.errors import UserError
from ganforge.utils.ranks import merge, share, world
from ganforge.utils.seeds import number
from ganforge.utils.terminal import shown, terminal

BATCH = 100
WITHOUT_USE = ("size", "channels", "held_out", "classifier")  # keys of conf/evaluate.yaml
UNTOUCHED = "untouched_input"


@dataclass(frozen=True)
class Direction:
    """One direction on test images: uint8 batches, equally cut; ``truth`` where it is known."""

    name: str
    source: list[Tensor]
    fake: list[Tensor]
    truth: list[Tensor] | None
    cycle: list[Tensor] | None


def evaluate_translation(config: DictConfig, loaded: LoadedRun) -> None:
    """Print a table of scores a direction and write all with their protocols.

    Images are of the test split where ``split`` is null: those that it was not trained on.
    """
    _check(config, loaded)
    refuse_broken(loaded)
    config = OmegaConf.merge(config, {"split": config.split or "test"})
    data = build_data(loaded, config.data_path)
    extractor = _extractor(config, loaded)
    console, records, notes = terminal(quiet=world()[0] != 0), [], []
    for way in loaded.module.translators:
        direction = translated(loaded.module, data, way, config)
        scores, left_out = _feature_scores(config, loaded, data, direction, extractor)
        pixels, more = _pixel_scores(config, loaded, data, direction)
        _print(console, f"{loaded.run.folder.name}, {way}", scores, pixels)
        records += [*scores, *pixels]
        notes += [*more, *left_out, *(note for score in scores for note in score.notes)]
    if extractor is None:
        notes.append("FID and KID are left out: choose features, as in features=efficientnet_lite0")
    for note in dict.fromkeys(notes):
        console.print(f"note: {note}", soft_wrap=True)
    if world()[0] == 0:
        path = write_scores(records, loaded.place("evaluations"), config.output)
        console.print(f"written to {shown(path)}", soft_wrap=True)


def _check(config: DictConfig, loaded: LoadedRun) -> None:
    """Raise a UserError for what cannot be measured, or would be ignored."""
    if config.n < 2:
        raise UserError(f"n={config.n} is too few: scores need at least 2 images")
    for key in WITHOUT_USE:
        if OmegaConf.select(config, key) is not None:
            raise UserError(
                f"{key} has no use with {loaded.run.folder}, which translates: its test images are "
                "compared as they are; leave it out"
            )


def translated(module: Any, data: Any, way: str, config: DictConfig) -> Direction:
    """Translate the first ``n`` images of a split, and back where the model knows the way."""
    here, there = way.split("_to_")
    source, truth = (
        list(data.domain(side).split(config.split).images[: config.n].split(BATCH))
        for side in (here, there)
    )
    fake = _each(source, lambda batch: module.translate(batch, way), config.seed)
    back = f"{there}_to_{here}"
    cycle = None
    if back in module.translators:
        cycle = _each(fake, lambda batch: module.translate(batch, back), config.seed)
    return Direction(way, source, fake, truth if data.pairs_in(config.split) else None, cycle)


def _each(batches: list[Tensor], make: Callable[[Tensor], Tensor], seed: int) -> list[Tensor]:
    """Every batch translated; processes share them, and all get all."""
    made = []
    with torch.random.fork_rng():
        for index in share(range(len(batches))):
            # Of dropout: the same in any number of processes.
            torch.manual_seed(number(seed, 0, "noise at test", index))
            made.append(make(batches[index]).cpu())
    rows = merge(torch.cat(made) if made else None, [len(batch) for batch in made])
    return list(rows.split(BATCH))


def _extractor(config: DictConfig, loaded: LoadedRun) -> Any:
    chosen = with_features(config, loaded.config)
    return build(chosen) if chosen else None


def _feature_scores(
    config: DictConfig, loaded: LoadedRun, data: Any, direction: Direction, extractor: Any
) -> tuple[list[Score], list[str]]:
    """FID, and others beside it: test sets of translation are small, and FID is biased there."""
    metrics = [
        metric
        for metric in build_all(config, "metrics", Metric)
        if metric.paired and not isinstance(metric, ClassFID | Memorisation)
    ]
    if extractor is None or not metrics:
        return [], []
    scorer = Scorer(
        extractor,
        targets(data, direction.name[-1], config.split, config.n),
        f"{loaded.config.paths.data_dir}/statistics",
        metrics,
        device=loaded.module.device,
        tied=data.pairs_in(config.split),
    )
    count = sum(map(len, direction.fake))
    fakes = RealImages(lambda: iter(direction.fake), count, "", direction.name, config.seed)
    return scorer.attempt(fakes, origin(loaded, config.seed, direction.name))


def _pixel_scores(
    config: DictConfig, loaded: LoadedRun, data: Any, direction: Direction
) -> tuple[list[Score], list[str]]:
    """Distances to the truth where there is one, beside those of the untouched input; the cycle."""
    scores: list[Score] = []
    notes: list[str] = []
    source, truth = direction.source, direction.truth
    template = _template(config, loaded, data, direction)
    if truth is not None:
        metrics, notes = pair_metrics()
        for metric in metrics:
            value, untouched = (
                measure_pairs(metric, images, truth, source) for images in (direction.fake, source)
            )
            if value is not None and untouched is not None:
                beside = ((UNTOUCHED, untouched),)
                scores.append(replace(template, metric=metric.name, value=value, details=beside))
    if direction.cycle is not None:
        value = measure_pairs(L1(), direction.cycle, source, source)
        beside = ((UNTOUCHED, 0.0),) if truth is not None else ()
        scores.append(replace(template, metric="cycle_l1_", value=value, details=beside))
    return scores, notes


def _template(config: DictConfig, loaded: LoadedRun, data: Any, direction: Direction) -> Score:
    """The record that all scores of pixels fill."""
    count = sum(map(len, direction.source))
    protocol = Protocol(
        extractor="pixels",
        sha256="",
        resize="none",
        n_fake=count,
        ema=loaded.ema,
        n_real=count,
        split=config.split,
        data_hash=data.domain(direction.name[-1]).content_hash(config.split),
        checkpoint=loaded.checkpoint,
        direction=direction.name,
        seed=config.seed,
    )
    run = loaded.run.folder.name
    return Score(
        "",
        0.0,
        protocol,
        None,
        loaded.step,
        run,
        (),
        library_versions("torchmetrics", "torchvision"),
    )


def _print(console: Console, title: str, scores: list[Score], pixels: list[Score]) -> None:
    """Two tables of one direction."""
    step = next(chain(scores, pixels)).step
    title = f"{title}, checkpoint of step {step}"
    if scores:
        console.print(title, style="bold")
        console.print(evaluation_table(scores))
        console.print(protocol_line(scores[0]), style="dim")
    if pixels:
        columns = {"translation": pixels}
        if all(score.details for score in pixels):
            columns["untouched input"] = [
                replace(score, value=dict(score.details)[UNTOUCHED]) for score in pixels
            ]
        split = pixels[0].protocol.split
        console.print(f"{title}: pixels, of the {split} split", style="bold")
        console.print(score_table(columns))
