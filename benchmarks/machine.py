"""The device, the libraries, and what the device can do at most."""

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.settings import Settings, compose_training, pick_device
from ganforge.training.devices import pick_precision

Work = Callable[[], torch.Tensor]
# Seconds that a reading lasts at least: other threads' computing is booked late, and readings of
# less than a millisecond once made a peak twice as high as it is.
SHORTEST = 0.05
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


def peak_flops(device: torch.device, dtype: torch.dtype, seconds: float = 1.0) -> float:
    """Operations a second of a large matrix product or convolution: the best within ``seconds``.

    Both, because one library may serve them unlike: on AMD's CPUs MKL multiplies fp32 matrices at
    less than half the speed of oneDNN's convolutions.
    """
    large = device.type == "cuda"
    sides = (4096, 8192) if large else (512, 1024)
    work = [_product(side, device, dtype) for side in sides]
    work.append(_convolution(64 if large else 8, device, dtype))
    return max(_best(run, operations, device, seconds) for run, operations in work)


def _product(side: int, device: torch.device, dtype: torch.dtype) -> tuple[Work, float]:
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return lambda: a @ b, 2.0 * side**3


def _convolution(batch: int, device: torch.device, dtype: torch.dtype) -> tuple[Work, float]:
    channels, side = 256, 32
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1, device=device, dtype=dtype)
    layer.requires_grad_(False).to(memory_format=torch.channels_last)
    x = torch.randn(batch, channels, side, side, device=device, dtype=dtype)
    x = x.to(memory_format=torch.channels_last)
    return lambda: layer(x), 2.0 * batch * side**2 * channels**2 * 9


def _best(run: Work, operations: float, device: torch.device, seconds: float) -> float:
    best, end, repeats = 0.0, worked(device) + seconds, 1
    run().flatten()[0].item()
    while best == 0 or worked(device) < end:
        start = worked(device)
        for _ in range(repeats):
            result = run()
        result.flatten()[0].item()  # reading a value waits for the device
        took = worked(device) - start
        if took < SHORTEST:
            repeats *= 2
        else:
            best = max(best, repeats * operations / took)
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
