"""Perceptual path length of a run's generator, by the feature maps of its classifier."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.latent.interpolation import TAIL, path_lengths, without_tails
from ganforge.metrics import bootstrap
from ganforge.metrics.cnn import CNNFeatures
from ganforge.metrics.comparison import Value
from ganforge.metrics.protocol import Score
from ganforge.metrics.scorer import Origin, Scorer
from ganforge.trained.load import LoadedRun
from ganforge.trained.space import Activations, one_class
from ganforge.utils.errors import UserError
from ganforge.utils.seeds import torch_rng

EPSILON = 1e-3


def path_length(loaded: LoadedRun, scorer: Scorer, origin: Origin, pairs: int, seed: int) -> Score:
    """The score; a UserError where the features have no maps."""
    if not isinstance(scorer.extractor, CNNFeatures):
        raise UserError("the perceptual path length, which needs the feature maps of features=cnn")
    rng = torch_rng(seed, 0, "path length")
    a, b = (loaded.module.draw_latents(pairs, rng) for _ in range(2))
    activations, path = Activations(scorer.extractor), loaded.module.prior.path
    labels = loaded.module.draw_labels(pairs, seed)
    lengths = torch.cat(
        [
            path_lengths(activations, generator, path, a[chosen], b[chosen], rng, EPSILON)
            for generator, chosen in _by_class(loaded, labels)
        ]
    )
    settings = (
        ("epsilon", EPSILON), ("path", "slerp"), ("distance", "maps of the classifier"),
        ("tails", TAIL),
    )  # fmt: skip
    interval = bootstrap.of_mean(
        lengths.numpy(), seed, mean=lambda drawn: without_tails(torch.from_numpy(drawn))
    )
    value = Value(without_tails(lengths), lengths.std().item(), settings, interval=interval)
    return scorer.record("ppl", value, pairs, False, origin)


def _by_class(loaded: LoadedRun, labels: Tensor | None) -> Iterator[tuple[nn.Module, Any]]:
    """Generators as functions of latents alone, and which are theirs: a path has a class."""
    if labels is None:
        yield loaded.module.generator, slice(None)
        return
    for number in labels.unique().tolist():
        yield one_class(loaded, "z", number)[1], labels == number
