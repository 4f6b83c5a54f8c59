"""What a bundle holds of a run, checked before anybody loads it."""

import re
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from ganforge.config.build import build_bundled
from ganforge.config.trusted import PLACES, refuse_untrusted
from ganforge.models.latent import LatentModel
from ganforge.models.translator import Translator
from ganforge.scoring.records import write_scores
from ganforge.sharing.card import Card, model_card, read_scores
from ganforge.sharing.recipe import recipe
from ganforge.trained.bundle import (
    CARD,
    CONFIG,
    PICTURES,
    SCORES,
    WEIGHTS,
    Bundle,
    read_facts,
    write_bundle,
)
from ganforge.trained.latents import of_seeds
from ganforge.trained.load import LoadedRun, load_bundle, need_latents
from ganforge.utils.errors import UserError
from ganforge.utils.folders import atomic_folder
from ganforge.utils.images import grid, save_image

SAMPLES = 32
BUNDLE = (CONFIG, WEIGHTS, CARD, SCORES, PICTURES)


def check_output(output: Path, overwrite: bool, parts: Collection[str]) -> None:
    """Refuse to touch what is there, unless it is a bundle and may be replaced.

    ``parts`` are names, or patterns of names, of what a former one consists of.
    """
    if not output.exists() and not output.is_symlink():
        return
    if not output.is_dir() or output.is_symlink():
        raise UserError(f"output={output} is no folder: choose another name")
    foreign = [p.name for p in output.iterdir() if not any(p.match(part) for part in parts)]
    if foreign:
        raise UserError(
            f"output={output} holds what is no part of a bundle ({sorted(foreign)[0]}): choose "
            "another folder, or move that away"
        )
    if any(output.iterdir()) and not overwrite:
        raise UserError(
            f"output={output} holds a bundle: choose another folder, or overwrite=true replaces it"
        )


@dataclass(frozen=True)
class Wish:
    """How an export is wished for: ``license`` is told by it, ``half`` rounds to 16-bit floats."""

    overwrite: bool = False
    picture: bool = True
    license: str | None = None
    half: bool = False


def export(loaded: LoadedRun, output: Path, wish: Wish) -> list[str]:
    """Write a bundle and return its files; it appears only when it gives the run's pictures."""
    if loaded.bundle:
        raise UserError(f"{loaded.run.folder} is a bundle already: copy the folder")
    output = output.expanduser()
    check_output(output, wish.overwrite, BUNDLE)
    with atomic_folder(output) as folder:
        return fill(loaded, folder, output.name, wish)


def fill(loaded: LoadedRun, folder: Path, place: str, wish: Wish) -> list[str]:
    """Put a bundle of a run, or a copy of a bundle, into a folder; returns the files.

    Its card says how to use it from ``place``.
    """
    if loaded.bundle:
        given = (wish.license is not None, not wish.picture, wish.half)
        if any(given):
            raise UserError(
                f"{loaded.run.folder} is a bundle, which says of itself what it is: license, "
                "picture and half are chosen when a run is exported"
            )
        kept = [file for file in loaded.run.folder.iterdir() if _kept(file)]
        for file in kept:
            shutil.copyfile(file, folder / file.name)
        pictures = _told(loaded, sorted(file.name for file in kept if file.match(PICTURES)))
        facts = read_facts(folder / CONFIG)
        terms, trained_by = facts.get("license"), facts.get("recipe")
    else:
        _write(loaded, folder, wish)
        pictures = write_pictures(loaded, folder) if wish.picture else {}
        scores = [score.of_run(loaded.run.folder.name) for score in read_scores(loaded)]
        if scores:
            write_scores(scores, folder, str(folder / SCORES))
        terms, trained_by = wish.license, recipe(loaded)
    shown = Card(loaded, _name(loaded), pictures, terms, place, trained_by, wish.half)
    (folder / CARD).write_text(model_card(shown), encoding="utf-8")
    others = [name for name in (SCORES,) if (folder / name).is_file()]
    return [WEIGHTS, CONFIG, CARD, *others, *pictures]


def _name(loaded: LoadedRun) -> str:
    return loaded.run.folder.name


def _write(loaded: LoadedRun, folder: Path, wish: Wish) -> None:
    """Weights and configuration of a run, checked by what they draw."""
    module = loaded.module
    if not isinstance(module, Translator):
        need_latents(loaded)
    parts = portable(loaded)
    skeleton, state = build_bundled(parts.model), module.state_dict()
    weights = {key: state[key] for key in skeleton.state_dict()}
    if wish.half:
        weights = {k: w.half() if w.is_floating_point() else w for k, w in weights.items()}
    bundle = Bundle(
        parts, weights, loaded.step, loaded.ema, loaded.classes, loaded.checkpoint,
        module.class_shares if isinstance(module, LatentModel) else None, wish.license,
        recipe(loaded),
    )  # fmt: skip
    write_bundle(bundle, folder, _name(loaded))
    _check_pictures(loaded, load_bundle(folder, str(module.device)), levels=int(wish.half))


def _kept(path: Path) -> bool:
    """Whether a copy of a bundle has a file: of a foreign one nothing that it merely points to."""
    shown = path.name == SCORES or path.match(PICTURES)
    return path.name in (CONFIG, WEIGHTS) or (shown and path.is_file() and not path.is_symlink())


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


def _check_pictures(loaded: LoadedRun, bundle: LoadedRun, levels: int) -> None:
    pairs = zip(probe(loaded), probe(bundle), strict=True)
    apart = max((ours.int() - theirs.int()).abs().max().item() for ours, theirs in pairs)
    if levels and apart > levels:
        raise UserError(
            f"{loaded.run.folder} does not bear half=true: pictures would change by {apart} of 255 "
            "levels; leave half out"
        )
    if apart > levels:
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
        return _told(loaded, ["samples.png"])
    shows = {}
    for way in loaded.module.translators:
        # Training has drawn test images with the averaged weights; its data may be gone by now.
        drawn = [p for p in loaded.run.samples.glob(f"{way}_*.png") if p.stem[-1].isdigit()]
        steps = {int(p.stem.rpartition("_")[2]): p for p in drawn}
        near = min(steps, key=lambda step: abs(step - loaded.step), default=None)
        if near is not None:
            name = f"samples_{way}.png"
            shutil.copyfile(steps[near], folder / name)
            told = _told(loaded, [name])[name]
            shows[name] = f"{told}, drawn at step {near}"
    return shows


def _told(loaded: LoadedRun, names: Iterable[str]) -> dict[str, str]:
    """What each picture of a bundle shows."""
    if not isinstance(loaded.module, Translator):
        return dict.fromkeys(names, f"seeds 0 to {SAMPLES - 1}, not chosen")
    ways = {name: name.removeprefix("samples_").removesuffix(".png") for name in names}
    return {name: f"{way}: test images and their translations" for name, way in ways.items()}
