"""How near generated regions of unseen people are to the truth while a model trains."""

from lightning.pytorch import LightningModule, Trainer

from ganforge.callbacks.translation_score import BATCH, SPLIT, TranslationScore
from ganforge.metrics.protocol import Protocol, Score
from ganforge.metrics.regions import region_l1, region_psnr
from ganforge.metrics.scorer import Origin, library_versions


class RegionDistance(TranslationScore):
    """L1 (of a −1 to 1 range) and PSNR inside the region, on test people."""

    def of_direction(
        self, trainer: Trainer, module: LightningModule, origin: Origin
    ) -> list[Score]:
        """Both, on the first process."""
        if not trainer.is_global_zero:
            return []
        cases = trainer.datamodule.split(SPLIT).cases(self.n_images)
        given = [cases[k].split(BATCH) for k in ("input", "exemplar", "sound") if k in cases]
        made = [module.retouch(*batch).cpu() for batch in zip(*given, strict=True)]
        soft, truth = module.soft.cpu(), cases["truth"].split(BATCH)
        count = len(cases["truth"])
        protocol = Protocol.of_pixels(
            count,
            ema=origin.ema,
            split=SPLIT,
            data_hash=trainer.datamodule.content_hash(SPLIT),
            direction=origin.direction,
            seed=origin.seed,
        )
        return [
            Score(
                name,
                sum(distance(f, t, soft).sum().item() for f, t in zip(made, truth, strict=True))
                / count,
                protocol,
                step=origin.step,
                libraries=library_versions(),
            )
            for name, distance in (("region_l1_", region_l1), ("region_psnr", region_psnr))
        ]
