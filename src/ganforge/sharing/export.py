"""What a bundle holds of a run, checked before anybody loads it."""

import re
import shutil
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from ganforge.config.build import build_bundled
from ganforge.config.trusted import PLACES, refuse_untrusted
from ganforge.models.latent import LatentModel
from ganforge.models.translator import Translator
from ganforge.sharing.card import Card, model_card
from ganforge.trained.bundle import CARD, CONFIG, PICTURES, WEIGHTS, Bundle, write_bundle
from ganforge.trained.latents import of_seeds
from ganforge.trained.load import LoadedRun, load_bundle, need_latents
from ganforge.utils.errors import UserError
from ganforge.utils.folders import atomic_folder
from ganforge.utils.images import grid, save_image

SAMPLES = 32


def _check_output(output: Path, overwrite: bool) -> None:
    """Refuse to touch what is there, unless it is a bundle and may be replaced."""
    if not output.exists() and not output.is_symlink():
        return
    if not output.is_dir() or output.is_symlink():
        raise UserError(f"output={output} is no folder: choose another name")
    foreign = [p.name for p in output.iterdir() if not _of_bundle(p)]
    if foreign:
        raise UserError(
            f"output={output} holds what is no part of a bundle ({sorted(foreign)[0]}): choose "
            "another folder, or move that away"
        )
    if any(output.iterdir()) and not overwrite:
        raise UserError(
            f"output={output} holds a bundle: choose another folder, or overwrite=true replaces it"
        )


def export(
    loaded: LoadedRun,
    output: Path,
    *,
    overwrite: bool = False,
    picture: bool = True,
    terms: str | None = None,
) -> list[str]:
    """Write a bundle and return its files; it appears only when it gives the run's pictures.

    ``terms`` is the licence on the model card.
    """
    if loaded.bundle:
        raise UserError(f"{loaded.run.folder} is a bundle already: copy the folder")
    if not isinstance(loaded.module, Translator):
        need_latents(loaded)
    output = output.expanduser()
    _check_output(output, overwrite)
    parts = portable(loaded)
    with atomic_folder(output) as folder:
        skeleton = build_bundled(parts.model)
        state = loaded.module.state_dict()
        weights = {key: state[key] for key in skeleton.state_dict()}
        name, step, module = loaded.run.folder.name, loaded.step, loaded.module
        shares = module.class_shares if isinstance(module, LatentModel) else None
        bundle = Bundle(parts, weights, step, loaded.ema, loaded.classes, loaded.checkpoint, shares)
        write_bundle(bundle, folder, name)
        _check_pictures(loaded, load_bundle(folder, str(module.device)))
        pictures = write_pictures(loaded, folder) if picture else {}
        card = Card(loaded, name, pictures, terms, Path(output.name))
        (folder / CARD).write_text(model_card(card), encoding="utf-8")
    return [WEIGHTS, CONFIG, CARD, *pictures]


def _of_bundle(path: Path) -> bool:
    return path.name in (CONFIG, WEIGHTS, CARD) or path.match(PICTURES)


def portable(loaded: LoadedRun) -> DictConfig:
    """What a bundle says of a run: resolved, without what only training needs, and no paths."""
    module, plain = loaded.module, _plain(loaded.config.model)
    needed = {*module.generators().values(), *module.constants}
    for key, value in plain.items():
        if isinstance(value, dict) and key not in needed:
            layer = isinstance(getattr(module, key, None), nn.Module)
            plain[key] = {"_target_": "torch.nn.Identity"} if layer else None
    data = _without_places(_plain(loaded.config.data))
    features = loaded.config.get("features")
    features = _without_places(_plain(features)) if features else None
    if features and re.search(r"[/\\]", str(features.get("weights"))):
        features = None  # a file of this machine
    parts = {"model": plain, "data": data, "features": features}
    refuse_untrusted(parts, f"the configuration of {loaded.run.folder}")
    return OmegaConf.create(parts)


def _plain(config: DictConfig) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return plain


def _without_places(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: None if k in PLACES else _without_places(v) for k, v in node.items()}
    return [_without_places(item) for item in node] if isinstance(node, list) else node


def probe(loaded: LoadedRun) -> list[Tensor]:
    """Pictures that tell one generator from another: of two seeds, or of noise each way."""
    module, config = loaded.module, loaded.config.data
    if not isinstance(module, Translator):
        return [of_seeds(module, range(2))]
    pictures = []
    for way in module.translators:
        rng = torch.Generator().manual_seed(0)
        shape = (2, *module.input_shape(way, config))
        noise = torch.randint(256, shape, generator=rng, dtype=torch.uint8)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            pictures.append(module.translate(noise, way))
    return pictures


def _check_pictures(loaded: LoadedRun, bundle: LoadedRun) -> None:
    pairs = zip(probe(loaded), probe(bundle), strict=True)
    if not all(torch.equal(ours, theirs) for ours, theirs in pairs):
        raise UserError(
            f"{loaded.run.folder} cannot be a bundle: its {type(loaded.module).__name__} makes "
            "other pictures without the parts that only training needs"
        )


def write_pictures(loaded: LoadedRun, folder: Path) -> dict[str, str]:
    """Write the sample grids; returns what each file shows."""
    if not isinstance(loaded.module, Translator):
        images = of_seeds(loaded.module, range(SAMPLES))
        scale = max(1, 512 // (images.shape[-1] * 8))
        save_image(grid(images, 8, scale=scale), folder / "samples.png")
        return {"samples.png": f"seeds 0 to {SAMPLES - 1}, not chosen"}
    shows = {}
    for way in loaded.module.translators:
        # Training has drawn test images with the averaged weights; its data may be gone by now.
        drawn = [p for p in loaded.run.samples.glob(f"{way}_*.png") if p.stem[-1].isdigit()]
        steps = {int(p.stem.rpartition("_")[2]): p for p in drawn}
        near = min(steps, key=lambda step: abs(step - loaded.step), default=None)
        if near is not None:
            name = f"samples_{way}.png"
            shutil.copyfile(steps[near], folder / name)
            shows[name] = f"{way}: test images and their translations, drawn at step {near}"
    return shows
