"""What every command needs: objects from configuration, and runs from their folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from ganforge.utils.errors import DamagedFileError, GanforgeError, UserError
from ganforge.utils.runs import Run, find_run


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
        if isinstance(cause, ValueError | TypeError):
            raise UserError(f"{_where(error, config)}: {cause}") from error
        raise UserError(str(error).replace("\n", " ")) from error


def _where(error: InstantiationException, config: DictConfig) -> str:
    """The key of the configuration that the error is about."""
    marker = "full_key: "
    _, _, key = str(error).partition(marker)
    return key.strip() or str(config._get_full_key(None) or "configuration")


def pick_device(name: str = "auto") -> torch.device:
    """The device of a command: ``auto`` takes an accelerator where there is one."""
    if name != "auto":
        return torch.device(name)
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator or torch.device("cpu")


@dataclass(frozen=True)
class LoadedRun:
    """A trained model, rebuilt: the module holds averaged weights where ``ema`` is true."""

    run: Run
    config: DictConfig
    module: Any
    step: int
    ema: bool


def read_config(run: Run) -> DictConfig:
    """The configuration that a run was composed from."""
    try:
        config = OmegaConf.load(run.config)
    except (OSError, ValueError, YAMLError) as error:
        reason = " ".join(str(error).split())
        raise DamagedFileError(f"{run.config} cannot be read: {reason}") from error
    if not isinstance(config, DictConfig) or "model" not in config:
        raise DamagedFileError(f"{run.config} is not the configuration of a training run")
    return config


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without executing anything in it."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedFileError(
            f"{path} cannot be read as a checkpoint ({reason[:120]}): train again or use another"
        ) from error


def load_run(folder: str | Path, checkpoint: str = "best", device: str = "auto") -> LoadedRun:
    """Rebuild a run's module from its configuration and take the weights of a checkpoint."""
    run = find_run(folder)
    config = read_config(run)
    state = read_checkpoint(run.checkpoint(checkpoint))
    module = build(config.model)
    try:
        module.load_state_dict(state["state_dict"])
        averages = next((v["weights"] for k, v in state["callbacks"].items() if k == "EMA"), {})
        for name, weights in averages.items():
            getattr(module, name).load_state_dict(weights)
    except (KeyError, RuntimeError) as error:
        raise DamagedFileError(
            f"{run.checkpoint(checkpoint)} does not fit {run.config}: {str(error).splitlines()[0]}"
        ) from error
    module.to(pick_device(device)).eval()
    return LoadedRun(run, config, module, state["global_step"], bool(averages))


def need_latents(loaded: LoadedRun) -> None:
    """Raise a UserError unless the run's model makes images from latents."""
    if not hasattr(loaded.module, "draw_latents"):
        raise UserError(
            f"{loaded.run.folder} holds a {type(loaded.module).__name__}, which has no latent space"
        )
    if len(loaded.config.data.shape) != 3:
        raise UserError(f"{loaded.run.folder} generates points, not images")
