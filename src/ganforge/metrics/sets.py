"""Real and generated images as sets that scores compare."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from ganforge.metrics.statistics import BATCH, ImageSet
from ganforge.utils.seeds import torch_rng


def real_images(data: Any, split: str, count: int | None = None, seed: int = 0) -> ImageSet:
    """``count`` images of a data module's split; None: all, in their order."""
    whole = data.split(split)
    everything = count is None or count >= len(whole)
    chosen = torch.arange(len(whole)) if everything else data.choose(split, count, seed)
    parts = chosen.split(BATCH)

    def read(part: Tensor, key: str = "image") -> Tensor:
        return whole.rows(part)[key]

    return ImageSet(
        lambda: (partial(read, part) for part in parts),
        len(chosen),
        whole.content_hash,
        split,
        seed,
        (lambda: torch.cat([read(part, "label") for part in parts])) if whole.labelled else None,
        whole.drawn,
        everything,
    )


def fake_batches(
    module: LightningModule, count: int, seed: int, batch_size: int = 250
) -> Iterator[Callable[[], Tensor]]:
    """Yield functions that make ``count`` uint8 images.

    Every process draws all the noise, and calls only the functions of its share. Classes are as
    frequent as in the training data.
    """
    rng, labels = torch_rng(seed, 0, "scores"), labels_for(module, count, seed)
    for start in range(0, count, batch_size):
        z = module.draw_latents(min(batch_size, count - start), rng)
        yield partial(module.generate, z, *(row[start:][: len(z)] for row in labels))


def fake_labels(module: LightningModule, count: int, seed: int) -> Callable[[], Tensor] | None:
    """What returns the classes of those images, int64 ``count``; None: there are no classes."""
    labels = labels_for(module, count, seed)
    return (lambda: labels[0]) if labels else None


def labels_for(module: LightningModule, count: int, seed: int) -> tuple[Tensor, ...]:
    """What ``generate`` takes after latents: labels of a conditional model, else nothing."""
    labels = module.draw_labels(count, seed)
    return () if labels is None else (labels,)


def generated(
    module: LightningModule, count: int, seed: int, data_hash: str = "", name: str = "generated"
) -> ImageSet:
    """``count`` images of a generator, with their classes where it has some."""
    labels = fake_labels(module, count, seed)
    return ImageSet(lambda: fake_batches(module, count, seed), count, data_hash, name, seed, labels)


def targets(data: Any, side: str, split: str, count: int) -> ImageSet:
    """What translations are compared with: the whole split or, where it is known, the truth.

    The truth of the first ``count`` images is those of the same numbers: the same people.
    """
    domain = data.domain(side)
    if not data.pairs_in(split):
        return real_images(domain, split)
    images = domain.split(split).images
    count = min(count, len(images))
    return ImageSet(
        lambda: images[:count],
        count,
        domain.content_hash(split),
        split,
        drawn="first",
        whole=count == len(images),
    )
