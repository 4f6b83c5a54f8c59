"""Steps that are recorded once and repeated: whole-step CUDA graphs.

A CUDA graph repeats the kernels of a step on the same memory, without Python between them. So what
Python decides or counts in a step has to be the same each time, or is done beside the graph: the
batch and the rates are copied in, host counters are moved by ``advance``, steps are counted and
reported by hand.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer

Batch = dict[str, Tensor]

WARM_UP = 3  # steps of a kind before it is recorded: libraries choose their kernels in them
MOST = 4  # recordings at a time: each holds the memory of a step


class Recorder(Protocol):
    """A device that can repeat work."""

    def aside(self) -> AbstractContextManager[None]:
        """Where work is done that will be recorded."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Do ``work`` once, and return what does it again with the same memory."""


class CudaRecorder:
    """Records CUDA graphs; ``noise`` is a generator of random numbers that the work draws from."""

    def __init__(self, noise: torch.Generator) -> None:
        self._noise = noise
        self._stream = torch.cuda.Stream(noise.device)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Work on the stream that will be recorded: autograd remembers streams."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            yield
        torch.cuda.current_stream().wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Capture ``work``, then run it; other threads may use the device meanwhile."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._noise)
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            work()
        graph.replay()
        return graph.replay


class Repeater:
    """Takes the place of ``module.play``: plays steps of a new kind, repeats those that it knows.

    A kind is the shapes of a batch and what the host decides in the step. Steps that cannot be
    recorded are played, and where recording fails all are, with a warning.
    """

    def __init__(self, module: LightningModule, recorder: Recorder) -> None:
        self._module = module
        self._recorder = recorder
        self._counting = counting(module)
        self._calls = {part: module.calls_of(part) for part in self._counting}
        self._played: dict[Hashable, int] = {}
        self._recordings: dict[Hashable, _Recording] = {}
        self._works = True

    def __call__(self, batch: Batch) -> None:
        """Do all updates of one step."""
        kind = self._kind(batch) if self._works else None
        if kind is None or (kind not in self._recordings and len(self._recordings) == MOST):
            self._module.play(batch)
        elif kind not in self._recordings and self._played.get(kind, 0) < WARM_UP:
            self._played[kind] = self._played.get(kind, 0) + 1
            with self._recorder.aside():
                self._module.play(batch)
        elif kind not in self._recordings or not self._recordings[kind].holds():
            self._record(kind, batch)
        else:
            self._recordings[kind].repeat(batch)
            for part in self._counting:
                part.advance(self._calls[part])

    @property
    def recordings(self) -> int:
        """How many kinds of steps are known."""
        return len(self._recordings)

    def _kind(self, batch: Batch) -> Hashable | None:
        shapes = tuple((name, value.shape, value.dtype) for name, value in batch.items())
        keys = tuple(graph_key(part, self._calls[part]) for part in self._counting)
        return None if None in keys else (shapes, keys)

    def _record(self, kind: Hashable, batch: Batch) -> None:
        counters = {part: part.get_extra_state() for part in self._counting}
        try:
            self._recordings[kind] = _Recording(self._module, self._recorder, batch)
        except RuntimeError as error:
            self._works = False
            self._recordings = {}
            rank_zero_warn(f"callbacks.cuda_graph has no effect: recording a step failed: {error}")
            for part, state in counters.items():
                part.set_extra_state(state)
            self._module.zero_grad(set_to_none=True)
            self._module.play(batch)


class _Recording:
    """One kind of step, played while it is recorded."""

    def __init__(self, module: LightningModule, recorder: Recorder, batch: Batch) -> None:
        self._module = module
        self._inputs = {name: value.clone() for name, value in batch.items()}
        self._optimizers = [each.optimizer for each in module.optimizers()]
        self._groups = [group for each in self._optimizers for group in each.param_groups]
        self._rates = [group["lr"] for group in self._groups]
        self._on_device = [torch.tensor(rate, device=module.device) for rate in self._rates]
        self._states = [each.state for each in self._optimizers]
        self._updates: list[Any] = []
        module.recorded = self._updates
        try:
            with self._recordable():
                self._again = recorder.record(lambda: module.play(self._inputs))
        finally:
            module.recorded = None
        self._finish()

    @contextmanager
    def _recordable(self) -> Iterator[None]:
        """Let optimizers read their rates from the device."""
        kept = [{"lr": g["lr"], "capturable": g.get("capturable", False)} for g in self._groups]
        for group, rate in zip(self._groups, self._on_device, strict=True):
            group.update(lr=rate, capturable=True)
        try:
            yield
        finally:
            for group, values in zip(self._groups, kept, strict=True):
                group.update(values)

    def holds(self) -> bool:
        """Whether the recording works on what is trained: a loaded state has other tensors."""
        pairs = zip(self._optimizers, self._states, strict=True)
        return all(optimizer.state is state for optimizer, state in pairs)

    def repeat(self, batch: Batch) -> None:
        """Do the step with another batch and today's rates."""
        for name, value in batch.items():
            self._inputs[name].copy_(value, non_blocking=True)
        for i, group in enumerate(self._groups):
            if group["lr"] != self._rates[i]:
                self._rates[i] = group["lr"]
                self._on_device[i].fill_(group["lr"])
        self._again()
        self._finish()

    def _finish(self) -> None:
        """Count and report as a played step does."""
        for update in self._updates:
            self._module.report(update)
        generator, _ = self._module.optimizers()
        generator._on_before_step()
        generator._on_after_step()


def counting(module: nn.Module) -> list[nn.Module]:
    """The parts of a model that keep numbers on the host, which checkpoints hold as extra state."""
    return [
        part
        for part in module.modules()
        if type(part).get_extra_state is not nn.Module.get_extra_state
    ]


def graph_key(part: nn.Module, calls: int) -> Hashable | None:
    """What the host decides for ``part`` in the next ``calls``; None where nobody can tell."""
    return part.graph_key(calls) if hasattr(part, "graph_key") else None


def obstacle(module: LightningModule, optimizers: list[Optimizer], ranks: int) -> str | None:
    """Why the steps of this training cannot be recorded, or None."""
    if module.device.type != "cuda":
        return f"CUDA graphs need a CUDA device, and this one is {module.device.type}"
    if ranks > 1:
        return "CUDA graphs of several processes are not supported"
    if not all(group.get("fused") for each in optimizers for group in each.param_groups):
        return (
            "CUDA graphs need optimizers that keep their counts on the device, as by "
            "model.optimizer_generator.fused=true"
        )
    return None
