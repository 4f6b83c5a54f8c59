"""Nothing that happens to the critic's images makes the host wait for a GPU; no GPU is needed.

Fake tensors have a device and no values: what asks for a value raises, and every copy between
devices is seen.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from ganforge.augment.ada import ADA
from ganforge.augment.diffaugment import Color, Cutout, DiffAugment, Translation
from ganforge.augment.instance_noise import InstanceNoise
from ganforge.data.translation import _piece

CUDA = torch.device("cuda")


class NoCopies(TorchDispatchMode):
    """Refuses what brings values of main memory to the device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        if function in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            tensors = [each for each in (*args[:2], found) if isinstance(each, torch.Tensor)]
            assert len({each.device.type for each in tensors}) == 1, f"{function} between devices"
        return found


@pytest.fixture
def device():
    with FakeTensorMode():
        yield CUDA


def on(module, device):
    """Put a module there by hand: its own ``to`` would look for a driver."""
    for part in module.modules():
        for name, buffer in part._buffers.items():
            part._buffers[name] = torch.empty(buffer.shape, device=device)
    return module


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "kind",
    [
        lambda: ADA(p=0.5, interval=1),
        lambda: DiffAugment([Color(), Translation(), Cutout()]),
        InstanceNoise,
    ],
    ids=["ada", "diffaugment", "noise"],
)
def test_augmenting_copies_nothing(kind, channels, device):
    module = on(kind(), device)
    images = torch.empty(4, channels, 16, 16, device=device)
    logits = torch.empty(4, device=device)
    with NoCopies():
        assert module(images).device.type == "cuda"
        if hasattr(module, "observe"):
            assert {each.device.type for each in module.observe(logits).values()} == {"cuda"}


def test_cutting_pieces_copies_nothing(device):
    images = torch.empty(4, 3, 20, 20, dtype=torch.uint8, device=device)
    corners = torch.empty(4, 2, dtype=torch.int64, device=device)
    with NoCopies():
        assert _piece(images, None, corners, 16).shape == (4, 3, 16, 16)


def test_the_watch_sees_what_waits(device):
    with NoCopies():
        with pytest.raises(AssertionError, match="between devices"):
            torch.tensor([1.0, 2.0], device=device)
        with pytest.raises(torch._subclasses.fake_tensor.DataDependentOutputException):
            torch.ones(1, device=device).item()
