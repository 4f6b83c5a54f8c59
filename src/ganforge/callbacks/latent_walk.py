"""A film of the generator between fixed latents, when training ends."""

from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from ganforge.callbacks.ema import averaged
from ganforge.latent.interpolation import slerp
from ganforge.metrics.sets import labels_for
from ganforge.models.latent import LatentModel
from ganforge.utils.images import grid, save_gif, to_pil
from ganforge.utils.seeds import torch_rng
from ganforge.utils.terminal import told_if_slow


class LatentWalk(Callback):
    """Writes ``walk.gif``, a closed walk on arcs through ``stops`` latents in each of the cells.

    Loggers that show films get it as ``interpolation``. A model without latents, or one of points,
    leaves it out.
    """

    def __init__(
        self,
        folder: str | Path,
        stops: int = 4,
        frames: int = 10,
        columns: int = 4,
        rows: int = 2,
        seed: int = 0,
        smallest_side: int = 256,
    ) -> None:
        if stops < 2 or frames < 1:
            raise ValueError(
                f"a walk needs 2 stops and 1 frame between them, not {stops}, {frames}"
            )
        self.folder = Path(folder)
        self.stops, self.frames = stops, frames
        self.columns, self.rows = columns, rows
        self.seed, self.smallest_side = seed, smallest_side

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Walk, write and log."""
        if not trainer.is_global_zero or not isinstance(pl_module, LatentModel):
            return
        cells, rng = self.columns * self.rows, torch_rng(self.seed, 0, "walk")
        ends = [pl_module.draw_latents(cells, rng) for _ in range(self.stops)]
        shares = torch.arange(self.frames) / self.frames
        labels = labels_for(pl_module, cells, self.seed)  # a cell keeps its class on the way
        pictures = []
        with averaged(trainer, pl_module):
            for a, b in zip(ends, [*ends[1:], ends[0]], strict=True):
                for share in shares:
                    images = pl_module.generate(slerp(a, b, share.to(a.device)), *labels)
                    if images.ndim != 4:
                        return
                    scale = max(1, self.smallest_side // (images.shape[-1] * self.columns))
                    pictures.append(to_pil(grid(images, self.columns, scale=scale)))
        path = self.folder / "walk.gif"
        with told_if_slow(f"joining {len(pictures)} pictures into {path.name}"):
            save_gif(pictures, path)
        for logger in trainer.loggers:
            if hasattr(logger, "log_video"):
                logger.log_video(
                    "interpolation", [str(path)], step=trainer.global_step, format=["gif"]
                )
