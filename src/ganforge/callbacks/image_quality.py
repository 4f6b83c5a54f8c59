"""FID, KID and Inception Score of the generator while it trains."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer

from ganforge.callbacks.ema import averaged
from ganforge.callbacks.score_history import ScoreHistory
from ganforge.metrics.comparison import Metric
from ganforge.metrics.features import FeatureExtractor
from ganforge.metrics.protocol import Score
from ganforge.metrics.scorer import MOST_REAL, Origin, Scorer, subject
from ganforge.metrics.scores import InceptionScore
from ganforge.metrics.sets import generated, real_images
from ganforge.utils.ranks import shared_buffers


class ImageQuality(ScoreHistory):
    """Scores the averaged generator every N steps, before the first and after the last.

    Ranks share the images among them, with the first one's batch statistics. ``n_images`` are
    generated; the real side is the whole split, or ``n_real`` images of a larger one.
    """

    def __init__(
        self,
        features: FeatureExtractor,
        path: str | Path,
        cache_dir: str | Path,
        metrics: Sequence[Metric],
        every_n_steps: int = 500,
        n_images: int = 2000,
        split: str = "train",
        seed: int = 0,
        n_real: int = MOST_REAL,
    ) -> None:
        super().__init__(path, every_n_steps, at_start=True)
        if not metrics or isinstance(metrics[0], InceptionScore):
            raise ValueError(
                "the first of callbacks.image_quality.metrics decides which checkpoint is best: "
                "put one there where lower is better, such as ganforge.metrics.scores.FID"
            )
        self.features = features
        self.cache_dir = cache_dir
        self.metrics = metrics
        self.judged = metrics[0].name
        self.n_images = n_images
        self.split = split
        self.seed = seed
        self.n_real = n_real
        self._scorer: Scorer | None = None

    def measure(self, trainer: Trainer, pl_module: LightningModule, step: int) -> list[Score]:
        """Score the averaged generator's images."""
        scorer = self._scorer or self._build(trainer, pl_module)
        with averaged(trainer, pl_module) as ema, shared_buffers(pl_module.players()[0]):
            data = trainer.datamodule
            fakes = generated(pl_module, self.n_images, self.seed)
            about = subject(data.content_hash("train"), data.shape)
            scores, left_out = scorer.attempt(fakes, Origin(ema, self.seed, step, subject=about))
            self.leave_out(trainer, left_out)
            return scores

    def _build(self, trainer: Trainer, pl_module: LightningModule) -> Scorer:
        real = real_images(trainer.datamodule, self.split, self.n_real, self.seed)
        self._scorer = Scorer(
            self.features,
            real,
            self.cache_dir,
            self.metrics,
            device=pl_module.device,
            data=trainer.datamodule.name,
        )
        return self._scorer
