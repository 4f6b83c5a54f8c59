"""CycleGAN: the published algorithm as a plain loop, and ganforge's step under Lightning."""

import argparse
import statistics
import tempfile
from dataclasses import asdict
from functools import partial
from itertools import chain, pairwise
from time import process_time
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, Trainer
from rich.console import Console
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.children import run_round, run_worker
from benchmarks.results import Results
from benchmarks.settings import Settings, compose_training, pick_device
from benchmarks.stopwatch import now
from ganforge.losses.adversarial import LeastSquares
from ganforge.losses.objective import AdversarialObjective
from ganforge.models.cyclegan import CycleGAN
from ganforge.models.image_pool import ImagePool
from ganforge.networks.patchgan import PatchGAN
from ganforge.networks.resnet import ResnetGenerator
from ganforge.training.devices import pick_precision
from ganforge.training.fit import keep_quiet

SIZES = {"cyclegan128": 128, "cyclegan256": 256}
SHAPES = {False: (9, 64), True: (1, 8)}
"""Residual blocks and base channels: the paper's, and small ones to see whether it runs."""
VARIANTS = ("reference", "ganforge")


def adam(parameters: list[nn.Parameter]) -> torch.optim.Adam:
    """The paper's optimizer."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


def fused_adam(parameters: list[nn.Parameter]) -> torch.optim.Adam:
    """The same in one kernel, as the model's configuration has it."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999), fused=True)


class PlainCycleGAN:
    """The published algorithm written down: fp32, one pass for each image that is wanted."""

    def __init__(self, g: nn.Module, f: nn.Module, d_a: nn.Module, d_b: nn.Module) -> None:
        self.g, self.f, self.d_a, self.d_b = g, f, d_a, d_b
        self.optimizer_g = adam([*g.parameters(), *f.parameters()])
        self.optimizer_d = adam([*d_a.parameters(), *d_b.parameters()])
        self.pools = ImagePool(50, 0), ImagePool(50, 1)

    def step(self, a: Tensor, b: Tensor) -> None:
        """Both critics once, both generators once; the order of updates is ganforge's."""
        fake_b, fake_a = self.g(a), self.f(b)
        self.optimizer_d.zero_grad()
        sides = ((self.d_a, a, fake_a, self.pools[0]), (self.d_b, b, fake_b, self.pools[1]))
        for critic, real, fake, pool in sides:
            pool.choose(len(fake), fake.device)
            shown = pool(fake.detach())
            loss = (critic(real) - 1).square().mean() + critic(shown).square().mean()
            (0.5 * loss).backward()
        self.optimizer_d.step()
        critics = list(chain(self.d_a.parameters(), self.d_b.parameters()))
        for parameter in critics:
            parameter.requires_grad_(False)
        self.optimizer_g.zero_grad()
        loss = (self.d_a(fake_a) - 1).square().mean() + (self.d_b(fake_b) - 1).square().mean()
        loss = loss + 10 * (F.l1_loss(self.f(fake_b), a) + F.l1_loss(self.g(fake_a), b))
        loss = loss + 5 * (F.l1_loss(self.f(a), a) + F.l1_loss(self.g(b), b))
        loss.backward()
        self.optimizer_g.step()
        for parameter in critics:
            parameter.requires_grad_(True)


class StepTimes(Callback):
    """Clock and computing time at the end of every step, when ``device`` has done its work."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.ends: list[tuple[float, float]] = []

    def on_train_batch_end(self, *_: object) -> None:
        self.ends.append((now(self.device), process_time()))

    @property
    def steps(self) -> list[tuple[float, float]]:
        """Seconds of the clock and of computing of every step but the first."""
        return [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(self.ends)]


def batches(steps: int, size: int, seed: int = 0) -> list[dict[str, Tensor]]:
    """Random images in ``[-1, 1]``, one of each domain a step."""
    rng = torch.Generator().manual_seed(seed)
    pairs = 2 * torch.rand(steps, 2, 1, 3, size, size, generator=rng) - 1
    return [{"a": a, "b": b} for a, b in pairs]


def networks(width: int, blocks: int) -> list[nn.Module]:
    """Both generators and both critics."""
    torch.manual_seed(0)
    generators = [ResnetGenerator(3, 3, width, blocks) for _ in range(2)]
    return [*generators, PatchGAN(3, width), PatchGAN(3, width)]


def ours(
    parts: list[nn.Module], data: list[dict[str, Tensor]], device: torch.device, precision: str
) -> StepTimes:
    """The steps under Lightning, as ``ganforge train`` makes it."""
    module = CycleGAN(*parts, AdversarialObjective(LeastSquares()), fused_adam, fused_adam)
    times = StepTimes(device)
    trainer = Trainer(
        max_steps=len(data), accelerator=device.type, devices=1, precision=precision, logger=False,
        callbacks=[times], enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=None))
    return times


def plain(parts: list[nn.Module], data: list[dict[str, Tensor]], device: torch.device) -> StepTimes:
    """The steps of the plain loop."""
    loop, times = PlainCycleGAN(*(part.to(device) for part in parts)), StepTimes(device)
    for batch in data:
        loop.step(batch["a"].to(device), batch["b"].to(device))
        times.on_train_batch_end()
    return times


def device_of(settings: Settings) -> torch.device:
    """Where the loops run: that of ``trainer.accelerator``."""
    return pick_device(compose_training(settings).trainer.accelerator)


def measure(variant: str, settings: Settings) -> dict[str, float]:
    """One turn of ``reference`` or ``ganforge``: the medians of its steps."""
    keep_quiet()
    blocks, width = SHAPES[settings.quick]
    data, parts = batches(settings.steps + 1, settings.size), networks(width, blocks)
    device = device_of(settings)
    if variant == "reference":
        times = plain(parts, data, device)
    else:
        times = ours(parts, data, device, pick_precision("auto", device.type))
    step, computing = (statistics.median(found) for found in zip(*times.steps, strict=True))
    return {
        "images_per_second": 2 / step,
        "milliseconds_per_step": 1000 * step,
        "computing_per_step": 1000 * computing,
    }


def step_flops(settings: Settings) -> dict[str, float]:
    """Operations of the convolutions of one step a shown image, of either loop."""
    keep_quiet()
    blocks, width = SHAPES[settings.quick]
    counted, loops = {}, {"reference": plain, "ganforge": partial(ours, precision="32-true")}
    for name, loop in loops.items():
        with FlopCounterMode(display=False) as counter:
            loop(networks(width, blocks), batches(1, settings.size), device_of(settings))
        counted[name] = counter.get_total_flops() / 2
    return counted


def run(case: str, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measure one case and print its table."""
    with tempfile.TemporaryDirectory(prefix="ganforge-bench-") as folder:
        settings = Settings(
            folder, size=SIZES[case], batch_size=1, steps=max(2, options.steps // 4),
            overrides=tuple(options.overrides), quick=options.quick,
        )  # fmt: skip
        blocks, width = SHAPES[settings.quick]
        with console.status(case) as status:
            machine = run_worker("cyclegan-prepare", settings)
            title = f"{case}: {blocks} blocks, {width} base channels, batch 1"
            results = Results(title, machine, asdict(settings))
            for i in range(options.rounds):
                status.update(f"{case}: round {i + 1} of {options.rounds}")
                results.rounds.append(run_round(VARIANTS, settings, "cyclegan-"))
    results.show(console)
    return results.as_dict()
