"""Pictures of fixed test images while a translator learns."""

import math
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from PIL import Image
from torch import Tensor

from ganforge.callbacks.ema import averaged
from ganforge.callbacks.loggers import log_picture
from ganforge.callbacks.periodic import PeriodicPictures
from ganforge.utils.captions import GAP, with_captions
from ganforge.utils.files import atomic_path
from ganforge.utils.images import grid, join_gif, to_pil
from ganforge.utils.runs import by_number
from ganforge.utils.seeds import number


class TranslationGrid(PeriodicPictures):
    """Writes a picture of each direction every N steps, and a GIF of each at the end.

    A row is a test image; the columns are what the model's ``panels`` gives: real A, fake B,
    reconstructed A and identity A for CycleGAN; real A, fake B and truth for pix2pix.
    """

    def __init__(
        self,
        folder: str | Path,
        every_n_steps: int = 200,
        rows: int = 6,
        seed: int = 0,
        smallest_side: int = 512,
        most_bytes: int | None = 100_000_000,
    ) -> None:
        super().__init__(every_n_steps, at_start=True, most_bytes=most_bytes)
        self.folder = Path(folder)
        self.rows = rows
        self.seed = seed
        self.smallest_side = smallest_side

    def draw(self, trainer: Trainer, pl_module: LightningModule, step: int) -> list[Path]:
        """Draw and log the grids."""
        paths = []
        examples = trainer.datamodule.examples(self.rows, self.seed)
        # Noise at test draws from the global state: leave that as it was.
        with torch.random.fork_rng(), averaged(trainer, pl_module):
            torch.manual_seed(number(self.seed, 0, "noise at test"))
            panels = pl_module.panels(**examples)
        for way, columns in panels.items():
            picture = draw_panels(columns, self.smallest_side)
            paths.append(self.folder / f"{way}_{step:06d}.png")
            with atomic_path(paths[-1]) as temporary:
                picture.save(temporary)
            log_picture(trainer.loggers, f"samples/{way}", picture, step)
        return paths

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Join each direction's grids into a GIF: all else is saved."""
        if not trainer.is_global_zero:
            return
        for way in {path.stem.rpartition("_")[0] for path in self.folder.glob("*_to_*_*.png")}:
            join_gif(by_number(self.folder.glob(f"{way}_*.png")), self.folder / f"{way}.gif")


def draw_panels(columns: dict[str, Tensor], smallest_side: int = 512) -> Image.Image:
    """Draw a row for each image and a column with its name above for each entry of ``columns``."""
    coloured = [images.cpu().expand(-1, 3, -1, -1) for images in columns.values()]
    rows = torch.stack(coloured, dim=1).flatten(0, 1)
    scale = math.ceil(smallest_side / (rows.shape[-1] * len(columns)))
    tiles = to_pil(grid(rows, len(columns), padding=GAP, scale=scale))
    return with_captions(tiles, list(columns))
