"""``ganforge explore``: what a generator learned, by tools that walk, add, search, dissect."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ganforge.config.build import build
from ganforge.latent.space import Tool
from ganforge.report.findings import check_film, write_findings
from ganforge.trained.load import load_run, need_latents
from ganforge.trained.space import build_space
from ganforge.utils.errors import UserError
from ganforge.utils.terminal import shown, terminal


def explore(config: DictConfig) -> None:
    """Run one tool on a run; pictures and a JSON of what it did go to ``<run>/explore/<tool>``."""
    if config.seed < 0:
        raise UserError(f"seed={config.seed} must not be negative")
    check_film(config.film)
    name = config.tool_name
    loaded = load_run(config.run, config.checkpoint, config.device, config.trusted)
    need_latents(loaded)
    tool: Tool = build(config.tool)
    findings = tool(build_space(config, loaded))
    folder = Path(config.output or loaded.place("explore", name))
    facts = {
        "tool": name,
        "settings": plain(config.tool),
        "run": loaded.run.folder.name,
        "step": loaded.step,
        "averaged_weights": loaded.ema,
        "seed": config.seed,
    }
    files = write_findings(findings, facts, folder, config.film)
    console = terminal()
    for line in findings.lines:
        console.print(line, soft_wrap=True)
    console.print(f"{', '.join(files)} in {shown(folder)}", soft_wrap=True)


def plain(config: DictConfig) -> Any:
    """Settings as plain values for the JSON."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(config, resolve=True)
