"""``ganforge explore``: what a generator learned, by tools that walk, add, search, dissect."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ganforge.api.models import explore_with, need_features
from ganforge.config.build import build
from ganforge.report.findings import check_film
from ganforge.trained.latents import class_number
from ganforge.trained.load import load_run, need_latents
from ganforge.utils.errors import UserError
from ganforge.utils.terminal import relative_path, terminal


def explore(config: DictConfig) -> None:
    """Run one tool on a run; pictures and a JSON of what it did go to ``<run>/explore/<tool>``."""
    if config.seed < 0:
        raise UserError(f"seed={config.seed} must not be negative")
    check_film(config.film)
    loaded = load_run(config.run, config.checkpoint, config.device, config.trusted)
    need_latents(loaded)
    found = explore_with(
        loaded,
        build(config.tool),
        need_features(config, loaded),
        name=config.tool_name,
        settings=OmegaConf.to_container(config.tool, resolve=True),
        space=config.space,
        label=class_number(loaded, config["class"]),
        seed=config.seed,
        data_path=config.data_path,
    )
    folder = Path(config.output or loaded.place("explore", config.tool_name))
    files, console = found.save(folder, config.film), terminal()
    for line in found.lines:
        console.print(line, soft_wrap=True)
    console.print(f"{', '.join(files)} in {relative_path(folder)}", soft_wrap=True)
