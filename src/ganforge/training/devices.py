"""What the devices of a run decide: its precision, and how batch norm sees other processes."""

from typing import Any

import torch
from lightning.pytorch.plugins.layer_sync import LayerSync
from omegaconf import DictConfig, OmegaConf
from torch import nn

from ganforge.networks.batch_norm import share_batch_norm, unshare_batch_norm
from ganforge.utils.errors import UserError


def supports_bf16(accelerator: str = "auto") -> bool:
    """Whether bf16 is computed in hardware there; emulated, it is slower than fp32."""
    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def pick_precision(precision: str, accelerator: str = "auto") -> str:
    """``auto`` is bf16-mixed where the hardware has it; fp16 is refused, as it needs a scaler."""
    if precision == "auto":
        return "bf16-mixed" if supports_bf16(accelerator) else "32-true"
    if precision not in ("32-true", "bf16-mixed"):
        raise UserError(
            f"trainer.precision={precision} is not supported: use auto, 32-true or bf16-mixed"
        )
    return precision


def process_options(trainer: DictConfig) -> dict[str, Any]:
    """What several processes need of the trainer where no strategy is chosen (``trainer=ddp``).

    Lightning would take a DDP that fails where players take turns, and samplers that the data's
    own loader stands for.
    """
    if trainer.get("strategy", "auto") != "auto" or _processes(trainer) == 1:
        return {}
    return {"strategy": "ddp_find_unused_parameters_true", "use_distributed_sampler": False}


def _processes(trainer: DictConfig) -> int:
    """How many processes are asked for, as far as that can be told; Lightning refuses the rest."""
    devices, nodes = trainer.devices, trainer.get("num_nodes", 1)
    if OmegaConf.is_list(devices):
        return nodes * len(devices)
    if isinstance(devices, str) and "," in devices:
        return nodes * len([word for word in devices.split(",") if word.strip()])
    if devices in ("auto", -1, "-1"):
        on_cpu = trainer.accelerator == "cpu" or not torch.accelerator.is_available()
        return nodes if on_cpu else nodes * torch.accelerator.device_count()
    return nodes * int(devices) if str(devices).isdecimal() else nodes


class SharedBatchNorm(LayerSync):
    """Batch norm over all processes where torch has none of its own, which is on CPUs."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Share."""
        share_batch_norm(model)
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Undo it."""
        unshare_batch_norm(model)
        return model


def batch_norm_options(trainer: DictConfig) -> dict[str, Any]:
    """What ``trainer.sync_batchnorm`` means on this accelerator, as arguments of the trainer."""
    on_cpu = trainer.accelerator == "cpu" or not torch.accelerator.is_available()
    if not (trainer.get("sync_batchnorm") and on_cpu):
        return {}
    return {"sync_batchnorm": False, "plugins": [SharedBatchNorm()]}
