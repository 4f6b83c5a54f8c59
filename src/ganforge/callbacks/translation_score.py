"""How good the translations of unseen images are while a translator trains."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import fsum
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from ganforge.callbacks.ema import averaged
from ganforge.callbacks.score_history import ScoreHistory
from ganforge.metrics.comparison import Metric
from ganforge.metrics.features import FeatureExtractor
from ganforge.metrics.pairs import L1, measure_pairs
from ganforge.metrics.protocol import Protocol, Score
from ganforge.metrics.scorer import Origin, Scorer, library_versions
from ganforge.metrics.sets import targets
from ganforge.metrics.statistics import ImageSet
from ganforge.utils.ranks import shared_buffers
from ganforge.utils.seeds import number

SPLIT = "test"  # a translator is judged by images that it was not trained on


BATCH = 50


class TranslationScore(ScoreHistory):
    """Scores every direction on the first ``n_images`` test images; their mean is the objective.

    ``every_n_steps=None`` measures at the end alone: a translation takes as long as a part of a
    training step.
    """

    def __init__(
        self,
        path: str | Path,
        every_n_steps: int | None = None,
        n_images: int = 500,
        seed: int = 0,
    ) -> None:
        super().__init__(path, every_n_steps)
        self.n_images = n_images
        self.seed = seed

    def measure(self, trainer: Trainer, pl_module: LightningModule, step: int) -> list[Score]:
        """The mean over directions of each metric, then each direction's."""
        # Noise at test draws from the global state: leave that as it was.
        with (
            torch.random.fork_rng(),
            averaged(trainer, pl_module) as ema,
            shared_buffers(pl_module.players()[0]),
        ):
            torch.manual_seed(number(self.seed, 0, "noise at test"))
            ways = [
                self.of_direction(
                    trainer, pl_module, Origin(ema, self.seed, step, direction=direction)
                )
                for direction in pl_module.translators
            ]
        if len(ways) == 1:
            return ways[0]
        by_metric = [{score.metric: score for score in scores} for scores in ways]
        shared = [metric for metric in by_metric[0] if all(metric in way for way in by_metric)]
        means = [mean_score([way[metric] for way in by_metric]) for metric in shared]
        return [*means, *(score for scores in ways for score in scores)]

    def of_direction(
        self, trainer: Trainer, module: LightningModule, origin: Origin
    ) -> list[Score]:
        """The scores of one direction."""
        raise NotImplementedError

    def translations(
        self, trainer: Trainer, module: LightningModule, direction: str
    ) -> Iterator[Callable[[], Tensor]]:
        """Functions that translate test images, a batch each."""
        for batch in self._images(trainer, direction[0]).split(BATCH):
            yield partial(module.translate, batch, direction)

    def _images(self, trainer: Trainer, side: str) -> Tensor:
        return trainer.datamodule.domain(side).split(SPLIT).images[: self.n_images]


class TranslationQuality(TranslationScore):
    """FID and others of the translations against the other domain, or the truth itself."""

    def __init__(
        self,
        features: FeatureExtractor,
        path: str | Path,
        cache_dir: str | Path,
        metrics: Sequence[Metric],
        every_n_steps: int | None = None,
        n_images: int = 500,
        seed: int = 0,
    ) -> None:
        super().__init__(path, every_n_steps, n_images, seed)
        if features is None:
            raise ValueError(
                "callbacks.translation_score compares features: choose some, as in "
                "features=efficientnet_lite0, or leave it out with '~callbacks.translation_score'"
            )
        self.features = features
        self.cache_dir = cache_dir
        self.metrics = metrics
        self.judged = metrics[0].name if metrics else None
        self._scorers: dict[str, Scorer] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell before training what cannot be measured after it."""
        for side in "ab":
            count = len(trainer.datamodule.domain(side).split(SPLIT))
            if min(count, self.n_images) < 2:
                reason = (
                    f"scores need at least 2 test images of each side, and there are {count} of "
                    f"{side}: add some, or leave scores out with '~callbacks.translation_score'"
                )
                self.leave_out(trainer, [reason])
        super().on_train_start(trainer, pl_module)

    def of_direction(
        self, trainer: Trainer, module: LightningModule, origin: Origin
    ) -> list[Score]:
        """Processes share the images; all metrics of the direction."""
        target = origin.direction[-1]
        if target not in self._scorers:
            data = trainer.datamodule
            self._scorers[target] = Scorer(
                self.features,
                targets(data, target, SPLIT, self.n_images),
                self.cache_dir,
                self.metrics,
                device=module.device,
                tied=data.pairs_in(SPLIT),
            )
        fakes = ImageSet(
            lambda: self.translations(trainer, module, origin.direction),
            len(self._images(trainer, origin.direction[0])),
            data_hash="",
            split=origin.direction,
        )
        scores, left_out = self._scorers[target].attempt(fakes, origin)
        self.leave_out(trainer, left_out)
        return scores


class TranslationDistance(TranslationScore):
    """Mean absolute difference of translations and the truth, of a 0–1 range; for pairs."""

    def of_direction(
        self, trainer: Trainer, module: LightningModule, origin: Origin
    ) -> list[Score]:
        """L1, on the first process."""
        if not trainer.is_global_zero:
            return []
        here, there = origin.direction.split("_to_")
        source, truth = (self._images(trainer, side) for side in (here, there))
        made = [make().cpu() for make in self.translations(trainer, module, origin.direction)]
        value = measure_pairs(L1(), made, truth.split(BATCH), source.split(BATCH))
        protocol = Protocol(
            extractor="pixels",
            sha256="",
            resize="none",
            n_fake=len(source),
            ema=origin.ema,
            n_real=len(truth),
            split=SPLIT,
            data_hash=trainer.datamodule.domain(there).content_hash(SPLIT),
            direction=origin.direction,
            seed=origin.seed,
        )
        told = float("nan") if value is None else value
        return [Score(L1.name, told, protocol, step=origin.step, libraries=library_versions())]


def mean_score(scores: Sequence[Score]) -> Score:
    """The mean of one metric over directions, with a protocol that names both of them."""
    protocols = [score.protocol for score in scores]
    hashes = ",".join(protocol.data_hash for protocol in protocols)
    protocol = replace(
        protocols[0],
        direction="both",
        n_fake=min(p.n_fake for p in protocols),
        n_real=min(p.n_real for p in protocols),
        data_hash=hashlib.sha256(hashes.encode()).hexdigest(),
    )
    first = scores[0]
    return Score(
        first.metric,
        fsum(score.value for score in scores) / len(scores),
        protocol,
        step=first.step,
        notes=tuple(dict.fromkeys(note for score in scores for note in score.notes)),
        libraries=first.libraries,
    )
