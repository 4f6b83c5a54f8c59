"""The generated images that are nearest to training images, beside these."""

import torch
from torch import Tensor

from ganforge.metrics.comparison import Comparison
from ganforge.metrics.features import with_channels
from ganforge.metrics.statistics import ImageSet
from ganforge.utils.images import grid

PAIRS = 12


def nearest_pairs(sides: Comparison, fakes: ImageSet, training: ImageSet) -> Tensor:
    """A picture ``C×H×W``: the nearest first, each generated image above its training image."""
    found = sides.in_training()
    worst = found.distances[:, 0].argsort(dim=0, stable=True)[:PAIRS]
    pairs = [rows_of(fakes, worst), rows_of(training, found.indices[worst, 0])]
    channels = max(images.shape[1] for images in pairs)
    return grid(torch.cat([with_channels(images, channels) for images in pairs]), len(worst))


def rows_of(images: ImageSet, wanted: Tensor) -> Tensor:
    """Some images of a set, by their numbers; what comes after the last one is not made."""
    found, start = {}, 0
    for batch in images.batches():
        made = batch if isinstance(batch, Tensor) else batch()
        for row in wanted[(wanted >= start) & (wanted < start + len(made))].tolist():
            found[row] = made[row - start].cpu()
        start += len(made)
        if start > wanted.max():
            break
    return torch.stack([found[row] for row in wanted.tolist()])
