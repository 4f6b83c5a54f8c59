"""A bundle: the generators of a run as safetensors, and what they are, as JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ganforge import __version__
from ganforge.config.compose import config_dir
from ganforge.config.trusted import is_model_class, refuse_untrusted
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.files import file_sha256, read_small, write_json

FORMAT, VERSION = "ganforge-bundle", 1
CONFIG, WEIGHTS, CARD, PICTURES = "config.json", "model.safetensors", "README.md", "samples*.png"
SCORES = "scores.json"
LARGEST_CONFIG = 1 << 20  # bytes


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds: the parts of a configuration, tensors by name, and where from.

    ``classes`` are the names of a conditional model's classes, ``class_shares`` how frequent they
    were in its data, ``checkpoint`` the name of the run's checkpoint that the weights were in,
    ``license`` what its maker says of the weights, ``recipe`` the command that trained them.
    """

    config: DictConfig
    weights: dict[str, Tensor]
    step: int
    ema: bool
    classes: list[str] | None = None
    checkpoint: str = ""
    class_shares: list[float] | None = None
    license: str | None = None
    recipe: str | None = None


def is_bundle(folder: str | Path) -> bool:
    """Whether there is a configuration of a bundle in a folder."""
    return (Path(folder).expanduser() / CONFIG).is_file()


def write_bundle(bundle: Bundle, folder: Path, name: str) -> None:
    """Write the weights and the configuration, which holds the weights' hash, into a folder."""
    # Clones, because two names of one tensor are refused by the format.
    weights = {key: tensor.detach().cpu().clone() for key, tensor in bundle.weights.items()}
    plain: Any = OmegaConf.to_container(bundle.config, resolve=True)
    # Not save_file: what it writes is unreadable for others. One entry: several have no order.
    (folder / WEIGHTS).write_bytes(save(weights, {"format": "pt"}))
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "ganforge": __version__,
        "name": name,
        "step": bundle.step,
        "averaged_weights": bundle.ema,
        "checkpoint": bundle.checkpoint,
        "weights": {"file": WEIGHTS, "sha256": file_sha256(folder / WEIGHTS)},
        **({"classes": bundle.classes} if bundle.classes else {}),
        **({"class_shares": bundle.class_shares} if bundle.class_shares else {}),
        **({"license": bundle.license} if bundle.license else {}),
        **({"recipe": bundle.recipe} if bundle.recipe else {}),
        **plain,
    }
    write_json(facts, folder / CONFIG)


def read_bundle(folder: str | Path) -> Bundle:
    """Read a bundle; nothing of it is executed, and its configuration is checked as a whole."""
    folder = Path(folder).expanduser().resolve()
    facts = read_facts(folder / CONFIG)
    refuse_untrusted(facts, str(folder / CONFIG))
    weights = _read_weights(folder / WEIGHTS, facts["weights"]["sha256"])
    config: Any = OmegaConf.create({key: facts.get(key) for key in ("model", "data", "features")})
    _fill_places(config)
    classes, checkpoint = facts.get("classes"), facts.get("checkpoint", "")
    step, ema, shares = facts["step"], facts["averaged_weights"], facts.get("class_shares")
    said = facts.get("license"), facts.get("recipe")
    return Bundle(config, weights, step, ema, classes, checkpoint, shares, *said)


def read_facts(path: Path) -> dict[str, Any]:
    """The JSON of a bundle; a UserError for another format, a DamagedFileError for no JSON."""
    damaged = "export the run again, or get the bundle again"
    try:
        facts = json.loads(read_small(path, LARGEST_CONFIG))
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise DamagedFileError(f"{path} cannot be read as JSON ({reason}): {damaged}") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise UserError(f'{path} is not of a bundle of ganforge: it has no "format": "{FORMAT}"')
    if facts.get("version") != VERSION:
        raise UserError(
            f"{path} is of version {facts.get('version')!r} of bundles, and this ganforge "
            f"({__version__}) reads version {VERSION}: update ganforge"
        )
    for key, found in _kinds(facts).items():
        if not found:
            raise DamagedFileError(f"{path} has no valid entry {key!r}: {damaged}")
    return facts


def _are_shares(shares: object, model: object) -> bool:
    """Whether there is a share of each class of the model, and not all are 0."""
    if not isinstance(shares, list) or not isinstance(model, dict):
        return False
    numbers = [
        isinstance(s, int | float) and not isinstance(s, bool) and 0 <= s <= 1 for s in shares
    ]
    return len(shares) == model.get("num_classes") and all(numbers) and sum(shares) > 0


def _kinds(facts: dict[str, Any]) -> dict[str, bool]:
    """Whether each entry that a bundle needs is there and of its type."""
    model, data, weights = (facts.get(key) for key in ("model", "data", "weights"))
    step, classes = facts.get("step"), facts.get("classes", [])
    shares = facts.get("class_shares")
    return {
        "model": isinstance(model, dict) and is_model_class(model.get("_target_")),
        "data": isinstance(data, dict) and isinstance(data.get("shape"), list),
        "weights": isinstance(weights, dict) and isinstance(weights.get("sha256"), str),
        "step": isinstance(step, int) and not isinstance(step, bool) and step >= 0,
        "averaged_weights": isinstance(facts.get("averaged_weights"), bool),
        "checkpoint": isinstance(facts.get("checkpoint", ""), str),
        "classes": isinstance(classes, list) and all(isinstance(name, str) for name in classes),
        **{key: isinstance(facts.get(key, ""), str) for key in ("license", "recipe")},
        "class_shares": shares is None or _are_shares(shares, model),
    }


def _read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    damaged = "export the run again, or get the bundle again"
    if not path.is_file():
        raise DamagedFileError(f"{path} is missing beside its {CONFIG}: {damaged}")
    if file_sha256(path) != sha256:
        raise DamagedFileError(
            f"{path} is damaged or another's: its hash is not the one in {CONFIG}; {damaged}"
        )
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise DamagedFileError(f"{path} is no safetensors file ({error}): {damaged}") from error


def _fill_places(config: DictConfig) -> None:
    """Put this machine's folders where a bundle has none."""
    folder = OmegaConf.load(config_dir() / "paths" / "default.yaml").data_dir
    config.paths = {"data_dir": folder}
    for key in ("data", "features"):
        if config[key]:
            _fill(config[key], folder)


def _fill(node: Any, folder: str) -> None:
    if isinstance(node, DictConfig):
        for key in node:
            if key == "data_dir":
                node[key] = folder
            elif key == "download_dir":
                node[key] = f"{folder}/downloads"
            else:
                _fill(node[key], folder)
