"""``python -m benchmarks.cyclegan``: seconds a step of CycleGAN and of a plain loop beside it."""

import argparse
import os
import statistics
from copy import deepcopy
from datetime import UTC, datetime
from itertools import chain, pairwise
from pathlib import Path
from time import perf_counter

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, Trainer
from rich.console import Console
from torch import Tensor, nn

from ganforge.commands.devices import pick_precision
from ganforge.commands.train import keep_quiet
from ganforge.losses.adversarial import LeastSquares
from ganforge.losses.objective import AdversarialObjective
from ganforge.models.cyclegan import CycleGAN
from ganforge.models.image_pool import ImagePool
from ganforge.networks.patchgan import PatchGAN
from ganforge.networks.resnet import ResnetGenerator
from ganforge.utils.files import write_json


def adam(parameters: list[nn.Parameter]) -> torch.optim.Adam:
    """The paper's optimizer."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


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
    """Seconds between the ends of consecutive steps."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: object) -> None:
        self.ends.append(perf_counter())

    @property
    def seconds(self) -> list[float]:
        return [b - a for a, b in pairwise(self.ends)]


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


def ours(parts: list[nn.Module], data: list[dict[str, Tensor]], precision: str) -> list[float]:
    """Seconds of every step but the first under Lightning, as ``ganforge train`` makes it."""
    module = CycleGAN(*parts, AdversarialObjective(LeastSquares()), adam, adam)
    times = StepTimes()
    trainer = Trainer(
        max_steps=len(data), accelerator="cpu", precision=precision, logger=False,
        callbacks=[times], enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=None))
    return times.seconds


def plain(parts: list[nn.Module], data: list[dict[str, Tensor]]) -> list[float]:
    """Seconds of every step but the first of the plain loop."""
    loop, ends = PlainCycleGAN(*parts), []
    for batch in data:
        loop.step(batch["a"], batch["b"])
        ends.append(perf_counter())
    return [b - a for a, b in pairwise(ends)]


def main(arguments: list[str] | None = None) -> None:
    """Measure both in turn, print the ratio, write the file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cyclegan", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of both loops (default 3)")
    parser.add_argument("--steps", type=int, default=5, help="timed steps a turn (default 5)")
    parser.add_argument("--size", type=int, default=128, help="side of the images (default 128)")
    parser.add_argument("--blocks", type=int, default=9, help="residual blocks (default 9)")
    parser.add_argument("--width", type=int, default=64, help="base channels (default 64)")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="JSON's folder")
    options = parser.parse_args(arguments)
    keep_quiet()
    data = batches(options.steps + 1, options.size)
    precision, rounds = pick_precision("auto"), []
    for _ in range(options.rounds):
        parts = networks(options.width, options.blocks)
        reference = statistics.median(plain(deepcopy(parts), data))
        mine = statistics.median(ours(deepcopy(parts), data, precision))
        rounds.append({"plain": reference, "ganforge": mine, "ratio": reference / mine})
    ratio = statistics.median(r["ratio"] for r in rounds)
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    for r in rounds:
        line = f"plain {r['plain']:.2f} s a step, ganforge {r['ganforge']:.2f} s"
        Console().print(f"{line}: {r['ratio']:.2f} times as fast", highlight=False)
    Console().print(f"median {ratio:.2f}; {precision}, {torch.get_num_threads()} threads")
    record = {
        "rounds": rounds, "ratio": ratio, "precision": precision, "date": date,
        "size": options.size, "blocks": options.blocks, "width": options.width,
        "threads": torch.get_num_threads(), "torch": torch.__version__,
        "load_average": os.getloadavg()[0],
    }  # fmt: skip
    write_json(record, options.output / f"cyclegan{options.size}-{date}.json")


if __name__ == "__main__":
    main()
