"""``ganforge export``: a run's generator as a bundle, a folder that anyone can load safely."""

from pathlib import Path

from omegaconf import DictConfig

from ganforge.sharing import export as bundles
from ganforge.trained.bundle import is_bundle
from ganforge.trained.load import load_run
from ganforge.utils.errors import UserError
from ganforge.utils.terminal import shown, terminal


def export(config: DictConfig) -> None:
    """Write the bundle and say where it is."""
    if config.format != "safetensors":
        raise UserError(f"format={config.format} is not written: choose format=safetensors")
    if is_bundle(config.run):
        raise UserError(f"{config.run} is a bundle already: copy the folder")
    loaded = load_run(config.run, config.checkpoint, config.device, config.trusted)
    output = Path(config.output or loaded.run.folder / "bundle")
    files = bundles.export(
        loaded, output, overwrite=config.overwrite, picture=config.picture, terms=config.license
    )
    terminal().print(
        f"Step {loaded.step} of {loaded.run.folder.name} in {shown(output.expanduser())}: "
        f"{', '.join(files)}",
        soft_wrap=True,
    )
