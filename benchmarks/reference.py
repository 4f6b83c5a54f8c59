"""The training loop of the usual DCGAN tutorial, as plainly as it is written there.

fp32, eager, image files through PIL transforms in a DataLoader without workers, binary cross
entropy against label tensors, the discriminator's weights differentiated in the generator's update
as well, and readings fetched from the device at every step.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.settings import Settings, compose_training
from benchmarks.stopwatch import Stopwatch
from ganforge.commands.common import build, pick_device


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

    def step(self, real: torch.Tensor, noise: torch.Tensor) -> dict[str, float]:
        """Update the discriminator on real and on generated images, then the generator."""
        self.discriminator.zero_grad()
        label = torch.full((len(real),), 1.0, device=real.device)
        output = self.score(real)
        error_real = self.criterion(output, label)
        error_real.backward()
        d_x = output.mean().item()

        fake = self.generator(noise)
        label.fill_(0.0)
        output = self.score(fake.detach())
        error_fake = self.criterion(output, label)
        error_fake.backward()
        self.optimizer_d.step()

        self.generator.zero_grad()
        label.fill_(1.0)
        output = self.score(fake)
        error_g = self.criterion(output, label)
        error_g.backward()
        self.optimizer_g.step()
        error_d = error_real + error_fake
        return {
            "Loss_D": error_d.item(),
            "Loss_G": error_g.item(),
            "D(x)": d_x,
            "D(G(z))": output.mean().item(),
        }


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


def measure(settings: Settings) -> float:
    """Seconds of the timed steps."""
    torch.manual_seed(0)
    device = pick_device()
    model = build(compose_training(settings).model).to(device)
    tutorial = Tutorial(model.generator, model.discriminator, model.latent_dim)
    loader = DataLoader(image_files(settings), settings.batch_size, shuffle=True, num_workers=0)
    watch = Stopwatch(settings.warmup, settings.steps, device)
    train(tutorial, loader, device, settings.total_steps, watch.tick)
    return watch.seconds
