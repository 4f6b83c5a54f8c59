"""What R1 leaves of a critic of patches: it learns to tell faces without glasses from those with.

    python -m benchmarks.patch_critic gammas=0,1,10,26,12960 seeds=0,1,2

There is no generator: CycleGAN's critic, 16 wide, is trained for 150 steps of 4 images a side.
Printed is its least-squares loss, the mean of the last 30 steps; guessing costs 0.25.
"""

import itertools
import statistics
import sys
from pathlib import Path
from tempfile import mkdtemp

import torch
from hydra.utils import instantiate
from torch import Tensor

from benchmarks.runs import arguments_of, config_of, spread
from ganforge.losses.adversarial import LeastSquares
from ganforge.losses.objective import AdversarialObjective
from ganforge.losses.regularizers import R1
from ganforge.networks.patchgan import PatchGAN
from ganforge.utils.images import to_float

STEPS, LAST = 150, 30


def batches() -> list[tuple[Tensor, Tensor]]:
    """Images of both domains, float, for all steps."""
    overrides = ["experiment=cyclegan_avatars", "data.batch_size=4"]
    data = instantiate(config_of(Path(mkdtemp()), overrides).data)
    data.prepare_data()
    data.setup("fit")
    shown = itertools.islice(data.train_dataloader(), STEPS)
    return [(to_float(batch["a"]), to_float(batch["b"])) for batch in shown]


def loss_of(pairs: list[tuple[Tensor, Tensor]], gamma: float, seed: int) -> float:
    """Train one critic."""
    torch.manual_seed(seed)
    critic = PatchGAN(3, 16, 3)
    optimizer = torch.optim.Adam(critic.parameters(), 2e-4, betas=(0.5, 0.999))
    objective = AdversarialObjective(LeastSquares(), {"r1": R1(gamma)} if gamma else {})
    losses = []
    for a, b in pairs:
        terms = objective.discriminator(critic, a, b)
        optimizer.zero_grad()
        sum(term.weight * term.value for term in terms.values() if term.weight).backward()
        optimizer.step()
        losses.append(terms["adversarial"].value.item())
    return statistics.mean(losses[-LAST:])


def main(given: list[str]) -> None:
    """Print a line for every γ."""
    named, _, seeds = arguments_of(given, [])
    torch.set_num_threads(1)
    pairs = batches()
    for gamma in named.get("gammas", "0,1,10").split(","):
        losses = [loss_of(pairs, float(gamma), seed) for seed in seeds]
        print(f"γ {gamma}: {spread(losses, '.3f')}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
