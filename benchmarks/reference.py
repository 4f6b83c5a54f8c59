"""The training loop of the usual DCGAN tutorial, as plainly as it is written there.

fp32, eager, image files through PIL transforms in a DataLoader without workers, binary cross
entropy against label tensors, the discriminator's weights differentiated in the generator's update
as well, and readings fetched from the device at every step.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.settings import Settings, compose_training, pick_device
from benchmarks.stopwatch import Stopwatch
from ganforge.config.build import build
from ganforge.losses.adversarial import Hinge


def image_files(settings: Settings) -> Dataset:
    """The image files with the tutorial's transforms: float ``C×size×size`` in ``[-1, 1]``."""
    return ImageFolder(
        settings.images,
        transform=transforms.Compose(
            [
                transforms.Resize(settings.size),
                transforms.CenterCrop(settings.size),
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
            ]
        ),
    )


class Tutorial:
    """Networks, optimizers and one step of the tutorial."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module, latent_dim: int) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.latent_dim = latent_dim
        self.criterion = nn.BCELoss()
        self.optimizer_d = torch.optim.Adam(discriminator.parameters(), 2e-4, betas=(0.5, 0.999))
        self.optimizer_g = torch.optim.Adam(generator.parameters(), 2e-4, betas=(0.5, 0.999))

    def score(self, images: torch.Tensor) -> torch.Tensor:
        """Chance of being real; the tutorial's network ends in a sigmoid."""
        return self.discriminator(images).sigmoid().view(-1)

    def error(self, output: torch.Tensor, label: float) -> torch.Tensor:
        """Binary cross entropy against a tensor of labels."""
        return self.criterion(output, torch.full_like(output, label))

    def error_of_generator(self, output: torch.Tensor) -> torch.Tensor:
        """The generated images called real."""
        return self.error(output, 1.0)

    def step(self, real: torch.Tensor, noise: torch.Tensor) -> dict[str, float]:
        """Update the discriminator on real and on generated images, then the generator."""
        self.discriminator.zero_grad()
        output = self.score(real)
        error_real = self.error(output, 1.0)
        error_real.backward()
        d_x = output.mean().item()

        fake = self.generator(noise)
        output = self.score(fake.detach())
        error_fake = self.error(output, 0.0)
        error_fake.backward()
        self.optimizer_d.step()

        self.generator.zero_grad()
        output = self.score(fake)
        error_g = self.error_of_generator(output)
        error_g.backward()
        self.optimizer_g.step()
        error_d = error_real + error_fake
        return {
            "Loss_D": error_d.item(),
            "Loss_G": error_g.item(),
            "D(x)": d_x,
            "D(G(z))": output.mean().item(),
        }


class HingeTutorial(Tutorial):
    """The same loop with SNGAN's loss: scores without a sigmoid, hinged at 1 and -1."""

    def score(self, images: torch.Tensor) -> torch.Tensor:
        """Above 0: real."""
        return self.discriminator(images).view(-1)

    def error(self, output: torch.Tensor, label: float) -> torch.Tensor:
        """max(0, 1 - D(x)) and max(0, 1 + D(G(z)))."""
        return (1 - output if label else 1 + output).relu().mean()

    def error_of_generator(self, output: torch.Tensor) -> torch.Tensor:
        """-D(G(z))."""
        return -output.mean()


def build_tutorial(settings: Settings) -> tuple[Tutorial, torch.device]:
    """The tutorial over the networks that ``ganforge train`` would build, on its device."""
    torch.manual_seed(0)
    config = compose_training(settings)
    device = pick_device(config.trainer.accelerator)
    model = build(config.model).to(device)
    kind = HingeTutorial if isinstance(model.objective.loss, Hinge) else Tutorial
    return kind(model.generator, model.discriminator, model.latent_dim), device


def step_flops(settings: Settings) -> float:
    """Operations of the convolutions of one step, forward and backward."""
    tutorial, device = build_tutorial(settings)
    shape = compose_training(settings).data.shape
    real = torch.zeros(settings.batch_size, *shape, device=device)
    noise = torch.zeros(settings.batch_size, tutorial.latent_dim, device=device)
    with FlopCounterMode(display=False) as counter:
        tutorial.step(real, noise)
    return float(counter.get_total_flops())


def train(
    tutorial: Tutorial,
    loader: DataLoader,
    device: torch.device,
    steps: int,
    tick: Callable[[], None],
) -> None:
    """Train for ``steps`` steps, printing every 50; ``tick`` is called after each."""
    step = 0
    while step < steps:
        for images, _ in loader:
            real = images.to(device)
            noise = torch.randn(len(real), tutorial.latent_dim, device=device)
            readings = tutorial.step(real, noise)
            if step % 50 == 0:
                print(f"[{step}/{steps}]", *(f"{k}: {v:.4f}" for k, v in readings.items()))
            step += 1
            tick()
            if step == steps:
                return


def measure(settings: Settings) -> Stopwatch:
    """The timed steps."""
    tutorial, device = build_tutorial(settings)
    loader = DataLoader(image_files(settings), settings.batch_size, shuffle=True, num_workers=0)
    watch = Stopwatch(settings.warmup, settings.steps, device)
    train(tutorial, loader, device, settings.total_steps, watch.tick)
    return watch
