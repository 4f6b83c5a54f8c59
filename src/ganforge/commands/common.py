"""What every command needs: objects from configuration, and runs from their folders."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from ganforge.callbacks.same_data import difference
from ganforge.commands.bundle import is_bundle, read_bundle
from ganforge.commands.checks import check_settings
from ganforge.utils.errors import DamagedFileError, GanforgeError, UserError
from ganforge.utils.runs import Run, find_run
from ganforge.utils.terminal import tell


def build(config: DictConfig, **overrides: Any) -> Any:
    """Instantiate a configured object; what its constructor refuses becomes a UserError.

    Lists and dicts arrive as Python's own, not as OmegaConf's.
    """
    try:
        return instantiate(config, **overrides, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, GanforgeError):
            raise cause from None
        if cause is not None:
            reason = (str(cause) or type(cause).__name__).splitlines()[0]
            raise UserError(f"{_where(error, config)}: {reason}") from error
        raise UserError(str(error).replace("\n", " ")) from error


def _where(error: InstantiationException, config: DictConfig) -> str:
    """The key of the configuration that the error is about."""
    marker = "full_key: "
    _, _, key = str(error).partition(marker)
    return key.strip() or str(config._get_full_key(None) or "configuration")


def pick_device(name: str = "auto") -> torch.device:
    """The device of a command: ``auto`` takes an accelerator where there is one."""
    if name != "auto":
        try:
            return torch.empty(0, device=name).device
        except (RuntimeError, AssertionError, TypeError, ImportError) as error:
            raise UserError(
                f"device={name} is not to be had here: choose auto, cpu or cuda"
            ) from error
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


def read_config(run: Run) -> DictConfig:
    """The configuration that a run was composed from."""
    try:
        config = OmegaConf.load(run.config)
    except (OSError, ValueError, YAMLError) as error:
        reason = " ".join(str(error).split())
        raise DamagedFileError(f"{run.config} cannot be read: {reason}") from error
    if not isinstance(config, DictConfig) or not isinstance(config.get("model"), DictConfig):
        raise DamagedFileError(f"{run.config} is not the configuration of a training run")
    return config


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without executing anything in it; wrong bytes are told by its hash."""
    from ganforge.utils.checkpoint_files import is_good

    try:
        if is_good(path) is False:
            raise ValueError("its content is not what was written")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedFileError(
            f"{path} cannot be read as a checkpoint ({reason[:120]}): train again or use another"
        ) from error


def load_run(folder: str | Path, checkpoint: str = "best", device: str = "auto") -> LoadedRun:
    """Rebuild a run's module from its configuration and take the weights of a checkpoint.

    A bundle has one state only, whatever ``checkpoint`` says.
    """
    if is_bundle(folder):
        return load_bundle(folder, device)
    run = find_run(folder)
    config = read_config(run)
    path = run.checkpoint(checkpoint)
    state = read_checkpoint(path)
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
        shapes = {k: v.shape for k, v in build(bundle.config.model).state_dict().items()}
    if shapes != {key: tensor.shape for key, tensor in bundle.weights.items()}:
        raise DamagedFileError(
            f"{folder}: the weights do not fit the model that its config.json describes; "
            "export the run again, or get the bundle again"
        )
    module = build(bundle.config.model)
    module.load_state_dict(bundle.weights)
    if bundle.class_shares is not None:
        module.class_shares = bundle.class_shares
    module.to(pick_device(device)).eval()
    return LoadedRun(
        Run(folder),
        bundle.config,
        module,
        bundle.step,
        bundle.ema,
        bundle.classes,
        bundle.checkpoint,
    )


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
    if not hasattr(loaded.module, "draw_latents"):
        raise UserError(
            f"{loaded.run.folder} holds a {type(loaded.module).__name__}, which has no latent space"
        )
    if len(loaded.config.data.shape) != 3:
        raise UserError(f"{loaded.run.folder} generates points, not images")
