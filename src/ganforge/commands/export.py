"""``ganforge export``: a run's generator as a bundle, a folder that anyone can load safely."""

from pathlib import Path

from omegaconf import DictConfig

from ganforge.config.build import build_bundled
from ganforge.models.translator import Translator
from ganforge.sharing.card import Card, model_card
from ganforge.sharing.export import _check_output, _check_pictures, portable, write_pictures
from ganforge.trained.bundle import CARD, CONFIG, WEIGHTS, Bundle, is_bundle, write_bundle
from ganforge.trained.load import load_bundle, load_run, need_latents
from ganforge.utils.errors import UserError
from ganforge.utils.folders import atomic_folder
from ganforge.utils.terminal import shown, terminal


def export(config: DictConfig) -> None:
    """Write the bundle; it appears only when it gives the same pictures as the run."""
    if config.format != "safetensors":
        raise UserError(f"format={config.format} is not written: choose format=safetensors")
    if is_bundle(config.run):
        raise UserError(f"{config.run} is a bundle already: copy the folder")
    loaded = load_run(config.run, config.checkpoint, config.device, config.trusted)
    if not isinstance(loaded.module, Translator):
        need_latents(loaded)
    output = Path(config.output or loaded.run.folder / "bundle").expanduser()
    _check_output(output, config.overwrite)
    parts = portable(loaded)
    with atomic_folder(output) as folder:
        skeleton = build_bundled(parts.model)
        state = loaded.module.state_dict()
        weights = {key: state[key] for key in skeleton.state_dict()}
        name = loaded.run.folder.name
        bundle = Bundle(
            parts,
            weights,
            loaded.step,
            loaded.ema,
            loaded.classes,
            loaded.checkpoint,
            getattr(loaded.module, "class_shares", None),
        )
        write_bundle(bundle, folder, name)
        _check_pictures(loaded, load_bundle(folder, config.device))
        pictures = write_pictures(loaded, folder) if config.picture else {}
        card = Card(loaded, name, pictures, config.license, Path(output.name))
        (folder / CARD).write_text(model_card(card), encoding="utf-8")
    files = ", ".join([WEIGHTS, CONFIG, CARD, *pictures])
    terminal().print(f"Step {loaded.step} of {name} in {shown(output)}: {files}", soft_wrap=True)
