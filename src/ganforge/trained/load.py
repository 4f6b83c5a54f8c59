"""Trained models, rebuilt from a run's folder or a bundle."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganforge.config.build import build, build_bundled
from ganforge.config.checks import check_settings
from ganforge.config.reading import read_yaml
from ganforge.config.trust import need_trust
from ganforge.models.latent import LatentModel
from ganforge.models.translator import Translator
from ganforge.trained.bundle import is_bundle, read_bundle
from ganforge.trained.named import place_of
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.known_data import difference
from ganforge.utils.own_classes import own_classes
from ganforge.utils.runs import Run, find_run
from ganforge.utils.seeds import picture_rng
from ganforge.utils.terminal import tell


def pick_device(name: str = "auto") -> torch.device:
    """The device of a command: ``auto`` takes an accelerator where there is one."""
    if name != "auto":
        try:
            device = torch.empty(0, device=name).device
            if device.type == "meta":  # it computes nothing
                raise RuntimeError("meta holds no numbers")
            return device
        except (RuntimeError, AssertionError, TypeError, ImportError) as error:
            raise UserError(f"device {name} is not available: choose auto, cpu or cuda") from error
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator or torch.device("cpu")


@dataclass(frozen=True)
class LoadedRun:
    """A trained model, rebuilt: the module holds averaged weights where ``ema`` is true.

    ``classes`` names what a conditional model can be asked for, where the names are known.
    ``checkpoint`` is the one that was read: ``best``, or ``last`` where there is no best.
    """

    run: Run
    config: DictConfig
    module: Any
    step: int
    ema: bool
    classes: list[str] | None = None
    checkpoint: str = ""
    bundle: bool = False

    def place(self, *parts: str) -> Path:
        """Where a command writes what it makes of the model, if nobody says otherwise.

        A run's folder is its user's own; a bundle stays as it was given.
        """
        if not self.bundle:
            return self.run.folder.joinpath(*parts)
        return Path("outputs", "bundles", self.run.folder.name, *parts)


def read_config(run: Run) -> DictConfig:
    """The configuration that a run was composed from."""
    config = read_yaml(run.config)
    if not isinstance(config, DictConfig) or not isinstance(_part(config, "model"), DictConfig):
        raise DamagedFileError(f"{run.config} is not the configuration of a training run")
    return config


def _part(config: DictConfig, key: str) -> Any:
    try:
        return config.get(key)
    except OmegaConfBaseException:  # as of an interpolation that leads to itself
        return None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without executing anything in it; wrong bytes are told by its hash."""
    from ganforge.utils.checkpoint_files import is_good

    try:
        if is_good(path) is False:
            raise ValueError("its content is not what was written")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedFileError(
            f"{path} cannot be read as a checkpoint ({reason[:120]}): train again or use another"
        ) from error
    if not isinstance(state, dict):
        state = {}
    step, extra = state.get("global_step"), state.get("ganforge", {})
    classes = extra.get("classes") if isinstance(extra, dict) else None
    shares = extra.get("class_shares") if isinstance(extra, dict) else None
    kinds = {
        "state_dict": isinstance(state.get("state_dict"), dict),
        "global_step": isinstance(step, int) and not isinstance(step, bool) and step >= 0,
        "callbacks": isinstance(state.get("callbacks"), dict),
        "ganforge": isinstance(extra, dict),
        "classes": classes is None
        or (isinstance(classes, list) and all(isinstance(name, str) for name in classes)),
        "class_shares": shares is None
        or (isinstance(shares, list) and all(isinstance(each, int | float) for each in shares)),
    }
    for key, found in kinds.items():
        if not found:
            raise DamagedFileError(
                f"{path} does not fit a run of ganforge: it has no valid entry {key!r}; use the "
                "checkpoint that the run wrote"
            )
    return state


def load_run(
    folder: str | Path, checkpoint: str = "best", device: str = "auto", trusted: bool = False
) -> LoadedRun:
    """Rebuild a run's module from its configuration and take the weights of a checkpoint.

    A bundle has one state only, whatever ``checkpoint`` says. A run from elsewhere whose
    configuration may do more than compute is refused unless it is ``trusted``.
    """
    folder = place_of(folder)
    if is_bundle(folder):
        return load_bundle(folder, device)
    run = find_run(folder)
    config = read_config(run)
    if not trusted:
        need_trust(run, config)
    path = run.checkpoint(checkpoint)
    state = read_checkpoint(path)
    with own_classes():
        module = build(config.model)
    try:
        module.load_state_dict(state["state_dict"])
        averages = next((v["weights"] for k, v in state["callbacks"].items() if k == "EMA"), {})
        for name, weights in averages.items():
            getattr(module, name).load_state_dict(weights)
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise DamagedFileError(
            f"{path} does not fit {run.config} "
            f"({str(error).splitlines()[0]}): use the checkpoint that the run wrote"
        ) from error
    if (shares := state.get("ganforge", {}).get("class_shares")) is not None:
        module.class_shares = shares
    module.to(pick_device(device)).eval()
    classes = state.get("ganforge", {}).get("classes")
    step, ema = state["global_step"], bool(averages)
    return LoadedRun(run, config, module, step, ema, classes, path.stem)


def load_bundle(folder: str | Path, device: str = "auto") -> LoadedRun:
    """Rebuild the generators of a bundle; what they were trained with is not in it."""
    folder, bundle = Path(folder).expanduser().resolve(), read_bundle(folder)
    check_settings(bundle.config)
    # Sizes are compared before they are allocated: they may be anything.
    with torch.device("meta"):
        state = build_bundled(bundle.config.model).state_dict()
    damaged = DamagedFileError(
        f"{folder}: the weights do not fit the model that its config.json describes; export the "
        "run again, or get the bundle again"
    )
    if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in bundle.weights.items()}:
        raise damaged
    module = build_bundled(bundle.config.model)
    module.load_state_dict(bundle.weights)
    if bundle.class_shares is not None:
        module.class_shares = bundle.class_shares
    if not _makes_images(module.eval(), bundle.config):
        raise damaged
    module.to(pick_device(device)).eval()
    return LoadedRun(
        Run(folder),
        bundle.config,
        module,
        bundle.step,
        bundle.ema,
        bundle.classes,
        bundle.checkpoint,
        bundle=True,
    )


def _makes_images(module: Any, config: DictConfig) -> bool:
    """Whether a model makes images of the shape that its data have; tried with one of them."""
    data = config.data
    try:
        if not isinstance(module, Translator):
            z = module.draw_latents(1, picture_rng(0))
            return list(module.generate(z, module.draw_labels(1, 0)).shape[1:]) == list(data.shape)
        with torch.random.fork_rng(devices=[]):
            for way in module.translators:
                image = torch.zeros(1, *module.input_shape(way, data), dtype=torch.uint8)
                if module.translate(image, way).shape[1:] != module.output_shape(way, data):
                    return False
    except (
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
        OmegaConfBaseException,
    ):
        return False
    return True


def build_data(loaded: LoadedRun, data_path: str | None) -> Any:
    """The data module of a run; ``data_path`` says where its files lie if not where they were."""
    config = OmegaConf.create(OmegaConf.to_container(loaded.config.data, resolve=True))
    nodes = list(_with_files(config))
    for node, key in nodes:
        if data_path is not None:
            node[key] = data_path
        elif node[key] is None and key == "path":
            raise UserError(
                f"{loaded.run.folder} does not say where the images of {config.name} lie: name "
                "their folder or zip archive with data_path=..."
            )
    if data_path is not None and not nodes:
        raise UserError(f"data_path={data_path} has no use: {config.name} is made, not read")
    with nullcontext() if loaded.bundle else own_classes():
        data = build(config)
    data.prepare_data()
    data.setup("fit")
    if told := difference(loaded.run.data, data):
        tell(f"note: {told}")
    return data


def _with_files(node: Any) -> Iterator[tuple[DictConfig, str]]:
    """Every source of a data configuration that reads files, and its key that says where."""
    if isinstance(node, DictConfig):
        if key := next((key for key in ("path", "folder") if key in node), None):
            yield node, key
        for child in node.values():
            yield from _with_files(child)


def need_latents(loaded: LoadedRun) -> None:
    """Raise a UserError unless the run's model makes images from latents."""
    hint = "it needs a model that makes images from latents, such as model=gan or model=dcgan"
    if not isinstance(loaded.module, LatentModel):
        model = type(loaded.module).__name__
        raise UserError(f"{loaded.run.folder} holds a {model}, which has no latent space: {hint}")
    if len(loaded.config.data.shape) != 3:
        raise UserError(f"{loaded.run.folder} generates points, not images: {hint}")
