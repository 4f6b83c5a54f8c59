"""A stand-in for CUDA graphs on any device: operations are taped as they run, and done again.

Like a graph, a tape knows kernels, memory and the numbers that Python passed, and nothing of Python
itself.
"""

from contextlib import nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Tape(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.entries = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        found = function(*args, **kwargs)
        self.entries.append((function, args, kwargs, found))
        return found


def tensors(values):
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]


class TapeRecorder:
    """Counts what it recorded and repeated."""

    def __init__(self):
        self.recorded = self.repeated = 0

    def aside(self):
        return nullcontext()

    def record(self, work):
        with _Tape() as tape:
            work()
        self.recorded += 1

        def again():
            self.repeated += 1
            # What was taped lies below autocast: what ran in fp32 must not be cast again.
            with torch.no_grad(), torch.autocast("cpu", enabled=False):
                for entry in tape.entries:
                    _redo(*entry)

        return again


def _redo(function, args, kwargs, found):
    """Run an operation on the memory of then, and put what is new where the result of then lies."""
    known = {t.untyped_storage().data_ptr() for t in tensors((args, kwargs))}
    for old, new in zip(tensors(found), tensors(function(*args, **kwargs)), strict=True):
        if old.untyped_storage().data_ptr() not in known:
            old.copy_(new)
