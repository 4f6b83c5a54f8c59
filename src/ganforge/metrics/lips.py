"""Whether generated lips say what is heard: read from pictures, then compared frame by frame."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganforge.utils.files import atomic_path

EPOCHS, BATCH, RATE = 8, 64, 3e-3
CLOSED_BELOW, SHUT_BELOW = 0.05, 0.13  # openings: of a true mouth that is shut, as read
FARTHEST = 8  # frames that lips may lag behind the sound


class LipReader(nn.Sequential):
    """Windows ``N×3×32×32`` in ``[-1, 1]`` to opening, width and teeth, ``N×3``."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        narrow = 3
        for wide in (32, 64, 96):
            layers += [nn.Conv2d(narrow, wide, 3, 2, 1), nn.BatchNorm2d(wide), nn.ReLU()]
            narrow = wide
        pooled = [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(96 * 16, 128), nn.ReLU()]
        super().__init__(*layers, *pooled, nn.Linear(128, 3))


def lip_reader(windows: Tensor, mouths: Tensor, path: Path, seed: int = 0) -> LipReader:
    """The reader in ``path``; else one trained on uint8 windows and their mouths, kept there."""
    from safetensors.torch import load_file, save_file

    if path.is_file():
        reader = LipReader()
        reader.load_state_dict(load_file(path))
        return reader.eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = LipReader().train()
        optimizer = torch.optim.AdamW(reader.parameters(), RATE)
        steps = EPOCHS * max(1, len(windows) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
        for _ in range(steps):
            chosen = torch.randint(len(windows), (BATCH,))
            light = 0.9 + 0.2 * torch.rand(BATCH, 1, 1, 1)
            seen = (windows[chosen].float() / 127.5 - 1) * light
            loss = F.smooth_l1_loss(reader(seen), mouths[chosen], beta=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with atomic_path(path) as temporary:
        save_file(reader.state_dict(), temporary)
    return reader.eval()


@torch.inference_mode()
def read(reader: LipReader, windows: Tensor) -> Tensor:
    """Mouths ``N×3`` of uint8 windows."""
    return torch.cat([reader(part.float() / 127.5 - 1) for part in windows.split(500)])


@dataclass(frozen=True)
class Sync:
    """How well lips follow: shares, mean correlations over videos, and each video's lag."""

    classes: float
    opening: float
    width: float
    shut: float
    lags: list[int]


def sync(found: Tensor, truth: Tensor, video: Tensor, bilabial: Tensor, centres: Tensor) -> Sync:
    """Compare mouths read from pictures with the true ones, ``N×3``, of several videos.

    ``bilabial`` marks the frames of p, b and m; ``centres`` are the mouths that make up classes.
    """
    videos = [video == number for number in video.unique()]
    right = nearest(found, centres) == nearest(truth, centres)
    lips = bilabial & (truth[:, 0] < CLOSED_BELOW)
    return Sync(
        right.float().mean().item(),
        _mean([correlation(found[v, 0], truth[v, 0]) for v in videos]),
        _mean([correlation(found[v, 1], truth[v, 1]) for v in videos]),
        (found[lips, 0] < SHUT_BELOW).float().mean().item(),
        [lag(truth[v, 0], found[v, 0]) for v in videos],
    )


def nearest(mouths: Tensor, centres: Tensor) -> Tensor:
    """Which of the centres each mouth is like; opening counts most."""
    apart = (mouths[:, None] - centres) * torch.tensor([1.0, 0.5, 0.3])
    return apart.square().sum(-1).argmin(1)


def correlation(one: Tensor, other: Tensor) -> float:
    """Pearson's, 0 where one of them never moves."""
    one, other = one - one.mean(), other - other.mean()
    return (one @ other / (one.norm() * other.norm()).clamp_min(1e-9)).item()


def lag(first: Tensor, second: Tensor) -> int:
    """Frames by which ``second`` comes after ``first``, where they correlate best."""
    n = len(first)
    found = {
        k: correlation(first[max(0, -k) : n - max(0, k)], second[max(0, k) : n - max(0, -k)])
        for k in range(-FARTHEST, FARTHEST + 1)
        if n - abs(k) > 1
    }
    return max(found, key=lambda k: found[k])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
