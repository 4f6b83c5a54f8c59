"""The device, the libraries, and what the device can do at most."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bare import BareLoop
from benchmarks.settings import Settings
from ganforge.commands.common import pick_device

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
    """Operations a second of a large square matrix product: the best of ``repeats``."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats + 2):
        start = time.perf_counter()
        (a @ b).flatten()[0].item()  # reading a value waits for the device
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def step_flops(settings: Settings) -> float:
    """Operations of the convolutions of one step of ganforge's, forward and backward."""
    loop = BareLoop(settings)
    with FlopCounterMode(display=False) as counter:
        loop.step()
    return float(counter.get_total_flops())


def describe(settings: Settings) -> dict[str, Any]:
    """All that a measured number must be read with."""
    device = pick_device()
    return {
        "device": device_name(device),
        "kind": device.type,
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "flops_per_image": step_flops(settings) / settings.batch_size,
        "peak_flops": {
            "32-true": peak_flops(device, torch.float32),
            "bf16-mixed": peak_flops(device, torch.bfloat16),
        },
    }
