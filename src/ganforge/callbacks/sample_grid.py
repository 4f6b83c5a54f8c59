"""Pictures of fixed latents while the generator learns, and a GIF of them."""

from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from ganforge.callbacks.ema import averaged
from ganforge.callbacks.loggers import log_picture
from ganforge.callbacks.periodic import PeriodicPictures
from ganforge.utils.images import grid, join_gif, save_image, to_pil
from ganforge.utils.runs import by_number
from ganforge.utils.seeds import torch_rng


class SampleGrid(PeriodicPictures):
    """Writes ``step_NNNNNN.png`` of the same latents every N steps, at the end a GIF of them.

    A conditional model's grid has a column a class, the same latent along each row.
    """

    def __init__(
        self,
        folder: str | Path,
        every_n_steps: int = 100,
        columns: int = 8,
        rows: int = 8,
        seed: int = 0,
        smallest_side: int = 512,
        most_frames: int = 100,
        most_bytes: int | None = 100_000_000,
    ) -> None:
        super().__init__(every_n_steps, at_start=True, most_bytes=most_bytes)
        self.folder = Path(folder)
        self.columns = columns
        self.rows = rows
        self.seed = seed
        self.smallest_side = smallest_side
        self.most_frames = most_frames

    def draw(self, trainer: Trainer, pl_module: LightningModule, step: int) -> list[Path]:
        """Draw and log the grid."""
        with averaged(trainer, pl_module):
            columns, images = self._samples(pl_module)
        scale = max(1, self.smallest_side // (images.shape[-1] * columns))
        picture = grid(images, columns, scale=scale)
        path = self.folder / f"step_{step:06d}.png"
        save_image(picture, path)
        log_picture(trainer.loggers, "samples", to_pil(picture), step)
        return [path]

    def _samples(self, module: LightningModule) -> tuple[int, Tensor]:
        """The number of columns, and the images row by row."""
        rng = torch_rng(self.seed, 0, "sample grid")
        if (classes := module.num_classes) is None:
            return self.columns, module.generate(module.draw_latents(self.columns * self.rows, rng))
        columns = min(classes, 2 * self.columns)
        z = module.draw_latents(self.rows, rng).repeat_interleave(columns, dim=0)
        return columns, module.generate(z, torch.arange(columns).repeat(self.rows))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Join at most ``most_frames`` grids, evenly spaced, into a GIF: all else is saved."""
        if trainer.is_global_zero:
            pictures = by_number(self.folder.glob("step_*.png"))
            join_gif(pictures, self.folder / "training.gif", self.most_frames)
