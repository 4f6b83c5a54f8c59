"""``ganforge evaluate``: score a trained generator."""

from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from ganforge.callbacks.image_quality import fake_batches, real_images
from ganforge.commands.common import LoadedRun, build, build_data, load_run, need_latents
from ganforge.commands.evaluate_translation import evaluate_translation
from ganforge.commands.report import protocol_line, score_table, shown
from ganforge.metrics.scorer import Scorer
from ganforge.models.translator import Translator
from ganforge.utils.errors import UserError
from ganforge.utils.files import write_json


def evaluate(config: DictConfig) -> None:
    """Print a table of scores and write them with their protocols into the run's folder."""
    loaded = load_run(config.run, config.checkpoint, config.device)
    if isinstance(loaded.module, Translator):
        evaluate_translation(config, loaded)
        return
    need_latents(loaded)
    scorer = build_scorer(config, loaded)
    fakes = fake_batches(loaded.module, config.n, config.seed)
    scores = scorer.score(fakes, loaded.ema, config.seed, loaded.step)
    scores = [score.of_run(loaded.run.folder.name) for score in scores]
    path = loaded.run.folder / "evaluations" / f"{scores[0].name}_{scorer.extractor.name}.json"
    write_json([score.to_dict() for score in scores], path)
    console = Console()
    title = f"{loaded.run.folder.name}, checkpoint of step {loaded.step}"
    console.print(f"[bold]{title}[/]")
    console.print(score_table({"value": scores}))
    console.print(f"[dim]{protocol_line(scores[0])}[/]")
    for note in {note for score in scores for note in score.notes}:
        console.print(f"note: {note}", soft_wrap=True)
    console.print(f"written to {shown(path)}", soft_wrap=True)


def build_scorer(config: DictConfig, loaded: LoadedRun) -> Scorer:
    """The run's real images and the chosen extractor (the run's own where none is chosen)."""
    if config.n < 2:
        raise UserError(f"n={config.n} is too few: scores need at least 2 images")
    data = build_data(loaded, config.data_path)
    chosen: Any = OmegaConf.select(config, "features") or loaded.config.get("features")
    if not chosen:
        raise UserError(f"{config.run} was trained without features: choose features=cnn or others")
    merged = OmegaConf.merge(loaded.config, {"features": chosen})
    return Scorer(
        build(merged.features),
        real_images(data, config.split, config.n, config.seed),
        f"{loaded.config.paths.data_dir}/statistics",
        device=loaded.module.device,
    )
