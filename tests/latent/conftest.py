import pytest
import torch
from torch import nn

from ganforge.latent.priors import Normal
from ganforge.latent.space import Reals, Space

DIM = 6
NAMES = {"bright": ["no", "yes"], "split": ["left", "even", "right"]}


class Bars(nn.Module):
    """A generator whose first two latents are the grey of the left and of the right half."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(DIM, 8, bias=False)
        self.act = nn.ReLU()
        with torch.no_grad():
            weight = torch.zeros(8, DIM)
            for i in range(2):  # units 2i and 2i+1 carry the positive and the negative part
                weight[2 * i, i], weight[2 * i + 1, i] = 2.0, -2.0
            weight[4:, 2:] = 0.01 * torch.eye(4)
            self.first.weight.copy_(weight)

    def forward(self, z):
        parts = self.act(self.first(z))
        left, right = parts[:, 0] - parts[:, 1], parts[:, 2] - parts[:, 3]
        halves = torch.stack([left, right], 1)[:, None, None, :].tanh()
        return halves.repeat_interleave(4, -1).expand(-1, 3, 8, -1)


def to_uint8(x):
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def halves(images):
    return images.float().div(127.5).sub(1).mean((1, 2)).unflatten(1, (2, 4)).mean(2)


def classify(images):
    left, right = halves(images).unbind(1)
    mean, difference = (left + right) / 2, right - left
    return {
        "bright": torch.stack([-4 * mean, 4 * mean], 1),
        "split": torch.stack([-4 * difference, torch.ones_like(mean), 4 * difference], 1),
    }


def make_space(seed=0, **changes):
    generator = Bars().eval().requires_grad_(False)

    def generate(z):
        with torch.no_grad():
            return to_uint8(generator(z))

    def reals(stream, count):
        images = generate(Normal(DIM).draw(count, torch.Generator().manual_seed(stream)))
        return Reals(images, {name: v.argmax(1) for name, v in classify(images).items()})

    settings = {
        "generator": generator,
        "prior": Normal(DIM),
        "generate": generate,
        "features": lambda images: images.float().flatten(1) / 255,
        "train": reals(101, 300),
        "test": reals(102, 100),
        "seed": seed,
        "classify": classify,
        "names": NAMES,
        "activations": lambda images: [torch.cat([images, torch.ones_like(images[:, :1])], 1)],
    }
    return Space(**{**settings, **changes})


@pytest.fixture
def space():
    return make_space()


@pytest.fixture
def space_with():
    """Make a space with other instruments or another seed."""
    return make_space
