"""What all data sets of single images share: whole splits, and images chosen from them."""

from typing import Protocol

import lightning
import torch
from torch import Tensor

from ganforge.utils.errors import UserError
from ganforge.utils.images import to_float


class Rows(Protocol):
    """One split: rows by number, from a memory map or from a stream.

    Rows are ``image`` uint8 ``N×C×H×W`` (toys: float32 ``N×D``) and, where there are some,
    ``label`` int64 ``N`` and ``attributes`` int64 ``N×A``.
    """

    labelled: bool
    drawn: str  # how a seed chooses rows, where that is not by a permutation of all

    @property
    def content_hash(self) -> str:
        """Hex SHA-256 of the images in their order."""
        ...

    def __len__(self) -> int: ...

    def rows(self, index: Tensor) -> dict[str, Tensor]:
        """The rows with these numbers, in their order."""
        ...

    def held(self) -> dict[str, Tensor]:
        """All rows or, of what has to be read into memory first, a bounded number."""
        ...

    def choose(self, n: int, seed: int) -> Tensor:
        """Numbers of ``n`` different rows, the same ones for the same seed."""
        ...


class SplitDataModule(lightning.LightningDataModule):
    """A data set with the splits ``train`` and ``test``, whose images are all alike in ``shape``.

    A subclass opens both in ``setup`` as ``self._opened``.
    """

    name: str
    shape: tuple[int, ...]
    class_names: list[str] | None = None
    _opened: dict[str, Rows]

    def split(self, name: str) -> Rows:
        """Return the whole split ``train`` or ``test``."""
        self.setup()
        if name not in self._opened:
            raise UserError(f"There is no split '{name}': choose train or test.")
        return self._opened[name]

    @property
    def class_shares(self) -> list[float] | None:
        """How often training images have each class; of a stream as its first windows tell."""
        labels = self.split("train").held().get("label")
        if labels is None or self.class_names is None:
            return None
        counts = torch.bincount(labels, minlength=len(self.class_names))
        return (counts / counts.sum()).tolist()

    def choose(self, split: str, n: int, seed: int = 0) -> Tensor:
        """Numbers of ``n`` different images of ``split``, the same ones for the same seed."""
        whole = self.split(split)
        if not 0 < n <= len(whole):
            raise UserError(
                f"{n} images were asked of the {split} split of '{self.name}', "
                f"which has {len(whole)}: ask for 1 to {len(whole)}."
            )
        return whole.choose(n, seed)

    def take(self, split: str, n: int, seed: int = 0) -> Tensor:
        """Those images, in memory: ``real_images`` reads many of them a batch at a time."""
        return self.split(split).rows(self.choose(split, n, seed))["image"]

    def content_hash(self, split: str) -> str:
        """Return the hex SHA-256 of the images of ``split``."""
        return self.split(split).content_hash

    def on_after_batch_transfer(
        self,
        batch: dict[str, Tensor],
        dataloader_idx: int,  # noqa: ARG002 (Lightning's signature)
    ) -> dict[str, Tensor]:
        """Mirror the images that drew it and normalise them, on the device; toys pass unchanged."""
        flip, image = batch.get("flip"), batch["image"]
        if flip is not None:
            image = torch.where(flip.view(-1, 1, 1, 1), image.flip(-1), image)
        if image.dtype == torch.uint8:
            image = to_float(image)
        return {key: value for key, value in batch.items() if key != "flip"} | {"image": image}


def place_of(trainer: lightning.Trainer | None) -> tuple[int, int, torch.device]:
    """Rank, number of processes and device that batches are for; without a trainer one CPU's."""
    if trainer is None:
        return 0, 1, torch.device("cpu")
    return trainer.global_rank, trainer.world_size, trainer.strategy.root_device


def check_whole(what: str, value: int) -> None:
    """Raise UserError unless ``value`` is a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"{what} is {value}: it must be a whole number of at least 1.")
