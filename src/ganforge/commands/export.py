"""``ganforge export``: a trained generator as what others and other programs can load."""

from pathlib import Path

from omegaconf import DictConfig

from ganforge.sharing.export import Wish
from ganforge.sharing.formats import export_as
from ganforge.trained.health import refuse_broken
from ganforge.trained.load import load_run
from ganforge.utils.terminal import terminal


def export(config: DictConfig) -> None:
    """Write a bundle or programs and say where they are."""
    loaded = load_run(config.run, config.checkpoint, config.device, config.trusted)
    refuse_broken(loaded)
    wish = Wish(config.overwrite, config.picture, config.license, config.half)
    output = Path(config.output) if config.output is not None else None
    _, lines = export_as(loaded, output, config.format, wish, uint8=config.uint8)
    for line in lines:
        terminal().print(line, soft_wrap=True)
