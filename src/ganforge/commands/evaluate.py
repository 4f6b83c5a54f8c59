"""``ganforge evaluate``: score a trained generator, or any images against any others."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ganforge.config.build import build_all
from ganforge.metrics.comparison import Metric
from ganforge.metrics.protocol import Score
from ganforge.metrics.scorer import FAILURES, Scorer, failure
from ganforge.models.region import RegionTranslator
from ganforge.report.bars import Bars
from ganforge.report.tables import evaluation_table, protocol_line
from ganforge.scoring.class_accuracy import class_accuracy, need_classes
from ganforge.scoring.distributed import in_processes
from ganforge.scoring.evaluate import (
    Sides,
    _applies,
    _device,
    _origin,
    _translator,
    build_extractor,
    choose,
)
from ganforge.scoring.images import DEFAULT_COUNT, Source, open_source
from ganforge.scoring.path_length import path_length
from ganforge.scoring.records import write_scores
from ganforge.scoring.region import evaluate_region
from ganforge.scoring.translation import evaluate_translation
from ganforge.utils.errors import UserError
from ganforge.utils.ranks import world
from ganforge.utils.terminal import shown, terminal


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
