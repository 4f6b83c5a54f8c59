"""Training of the classifiers behind ``features=cnn``; pure functions of tensors."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ganforge.metrics.cnn import SmallResNet, resize
from ganforge.utils.files import atomic_path


@dataclass(frozen=True)
class Labelled:
    """Images uint8 ``N×C×H×W`` and, for each head, targets int64 ``N``."""

    images: Tensor
    targets: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained: SGD with one cycle of the learning rate.

    ``flip`` mirrors at random, ``shift`` moves by up to so many pixels, ``min_size`` passes half of
    each batch through a random smaller side, so that the classifier reads small inputs as well.
    ``bf16`` halves the time on CPUs that have it in hardware.
    """

    size: int
    widths: tuple[int, ...] = (24, 48, 96, 160)
    stride: int = 1
    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 0.3
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    flip: bool = False
    shift: int = 2
    min_size: int | None = None
    bf16: bool = True
    seed: int = 0


def fit(
    train: Labelled,
    heads: dict[str, list[str]],
    recipe: Recipe,
    report: Callable[[int, float], None],
) -> SmallResNet:
    """Train on ``train`` and return the network in evaluation mode; ``report(epoch, loss)``."""
    rng = torch.Generator().manual_seed(recipe.seed)
    network = _network(train.images.shape[1], heads, recipe)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    steps = len(train) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps, pct_start=0.25
    )
    for epoch in range(recipe.epochs):
        total = 0.0
        order = torch.randperm(len(train), generator=rng)
        for chosen in order[: steps * recipe.batch_size].split(recipe.batch_size):
            images = augment(train.images[chosen], recipe, rng)
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bf16):
                logits = network(images)
            loss = _loss(logits, {k: v[chosen] for k, v in train.targets.items()}, recipe)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        report(epoch, total / steps)
    return network.eval().requires_grad_(False)


def _network(channels: int, heads: dict[str, list[str]], recipe: Recipe) -> SmallResNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = SmallResNet(channels, list(recipe.widths), recipe.stride, heads)
    return network.to(memory_format=torch.channels_last).train()


def _loss(logits: dict[str, Tensor], targets: dict[str, Tensor], recipe: Recipe) -> Tensor:
    """Mean cross-entropy over the heads."""
    smoothing = recipe.label_smoothing
    terms = [
        F.cross_entropy(logits[k].float(), t, label_smoothing=smoothing) for k, t in targets.items()
    ]
    return torch.stack(terms).mean()


def augment(images: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Turn a uint8 batch into the network's float input, randomly flipped, shifted, coarsened."""
    floats = resize(_coarsen(images.float(), recipe, rng), recipe.size)
    if recipe.flip:
        mirrored = torch.rand(len(floats), 1, 1, 1, generator=rng) < 0.5
        floats = torch.where(mirrored, floats.flip(-1), floats)
    if recipe.shift:
        floats = _shift(floats, recipe.shift, rng)
    return floats.div(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def _coarsen(images: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Pass every other image through a smaller side, small ones more often than large ones.

    Not whole batches: batch norm's running statistics would fit neither kind.
    """
    if recipe.min_size is None:
        return images
    drawn = torch.rand((), generator=rng).item() ** 2
    side = round(recipe.min_size + (recipe.size - recipe.min_size) * drawn)
    images = resize(images, recipe.size)
    images[::2] = resize(resize(images[::2], side), recipe.size)
    return images


def _shift(images: Tensor, most: int, rng: torch.Generator) -> Tensor:
    """Move each image by up to ``most`` pixels in both directions, edges repeated."""
    count, _, height, width = images.shape
    padded = F.pad(images, (most,) * 4, mode="replicate")
    dy, dx = torch.randint(0, 2 * most + 1, (2, count), generator=rng)
    rows = (dy[:, None] + torch.arange(height))[:, None, :, None]
    columns = (dx[:, None] + torch.arange(width))[:, None, None, :]
    return padded[
        torch.arange(count)[:, None, None, None],
        torch.arange(images.shape[1])[None, :, None, None],
        rows,
        columns,
    ]


@torch.inference_mode()
def accuracy(
    classify: Callable[[Tensor], dict[str, Tensor]], test: Labelled, batch_size: int = 500
) -> dict[str, float]:
    """Share of right answers of ``classify(uint8 images) -> logits by head`` for every head."""
    right = dict.fromkeys(test.targets, 0)
    for chosen in torch.arange(len(test)).split(batch_size):
        for name, logits in classify(test.images[chosen]).items():
            right[name] += int((logits.argmax(1) == test.targets[name][chosen]).sum())
    return {name: count / len(test) for name, count in right.items()}


def save(network: SmallResNet, path: Path, metadata: dict[str, Any]) -> None:
    """Write half-precision safetensors with JSON metadata, atomically."""
    from safetensors.torch import save_file

    state = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    with atomic_path(path) as temporary:
        save_file(state, temporary, metadata={k: json.dumps(v) for k, v in metadata.items()})
