"""The device, the libraries, and what the device can do at most."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.settings import Settings, compose_training, pick_device
from ganforge.commands.devices import pick_precision

LIBRARIES = ("torch", "torchvision", "lightning", "numpy")


def device_name(device: torch.device) -> str:
    """The name that the maker gave the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_flops(device: torch.device, dtype: torch.dtype, repeats: int = 5) -> float:
    """Operations a second of a large square matrix product: the best of some sides and repeats.

    The best side differs by device and type; a single one may be slower than a convolution.
    """
    sides = (4096, 8192, 16384) if device.type == "cuda" else (1024, 2048, 3072)
    best = 0.0
    for side in sides:
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        for _ in range(repeats + 2):
            start = worked(device)
            (a @ b).flatten()[0].item()  # reading a value waits for the device
            best = max(best, 2 * side**3 / (worked(device) - start))
    return best


def worked(device: torch.device) -> float:
    """Seconds of a clock; on a CPU those that each thread of this process computed."""
    if device.type == "cpu":
        return time.process_time() / torch.get_num_threads()
    return time.perf_counter()


def peak_copy(device: torch.device, repeats: int = 5) -> float:
    """Bytes a second of a large copy, read and written counted: the best of ``repeats``."""
    source = torch.ones(1 << 26, device=device)
    target, best = torch.empty_like(source), 0.0
    for _ in range(repeats + 2):
        start = time.perf_counter()
        target.copy_(source)
        target[0].item()
        best = max(best, 2 * source.nbytes / (time.perf_counter() - start))
    return best


def peak(device: torch.device) -> dict[str, Any]:
    """The most that the device does: operations and copied bytes a second."""
    types = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16}
    return {
        "flops": {name: peak_flops(device, dtype) for name, dtype in types.items()},
        "copied_bytes": peak_copy(device),
    }


def describe(settings: Settings) -> dict[str, Any]:
    """All that a measured number must be read with."""
    config = compose_training(settings)
    device = pick_device(config.trainer.accelerator)
    return {
        "device": device_name(device),
        "kind": device.type,
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "precision": pick_precision(config.trainer.precision, config.trainer.accelerator),
        "peak": peak(device),
    }
