"""The one data module: every data set, image or toy, reaches the models through it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from torch import Tensor

from ganforge.data.loader import BatchLoader
from ganforge.data.source import Source
from ganforge.data.store import Images, Store
from ganforge.utils.errors import UserError
from ganforge.utils.images import to_float


class ImageDataModule(lightning.LightningDataModule):
    """Cached data set that yields batches for training and whole splits for measuring.

    Batches hold ``minibatches × batch_size`` rows: a step is one generator update, and the critic's
    updates before it take one mini-batch each. Images arrive at the model as float ``[-1, 1]``.
    ``channels`` and ``size`` are None for toys, whose rows have the shape ``shape`` as they are.
    ``num_classes`` says how many labels there are, for models that are built before the data is.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        shape: Sequence[int],
        data_dir: Path | str,
        batch_size: int = 64,
        channels: int | None = None,
        size: int | None = None,
        flip: bool = False,
        seed: int = 0,
        on_device: bool | Literal["auto"] = "auto",
        minibatches: int = 1,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        check_whole("data.batch_size", batch_size)
        check_whole("the number of mini-batches per step", minibatches)
        if on_device not in (True, False, "auto"):
            raise UserError(f"data.on_device is '{on_device}': choose true, false or auto.")
        if size is not None:
            check_whole("data.size", size)
            if channels not in (1, 3):
                raise UserError(f"data.channels is {channels}: choose 1 (grey) or 3 (RGB).")
        elif flip:
            raise UserError(f"data.flip mirrors images; '{name}' has none: set data.flip=false.")
        source.check(size, channels)
        self.name, self.source, self.shape = name, source, tuple(shape)
        self.channels, self.size, self.batch_size = channels, size, batch_size
        self.num_classes = num_classes
        self.data_dir = Path(data_dir).expanduser()
        self._flip, self._seed = flip, seed
        self._on_device, self._minibatches = on_device, minibatches
        self._opened: dict[str, Images] = {}
        self._cache: Store | None = None

    def prepare_data(self) -> None:
        """Build the cache unless it is there."""
        self._store().build()

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning passes the stage)
        """Open the cache, building it first where nobody did."""
        if not self._opened:
            self.prepare_data()
            self._opened = {split: self._store().open(split) for split in ("train", "test")}
            self._check_shape()

    def train_dataloader(self) -> BatchLoader:
        """Return the shuffled batches of this process."""
        rank, world_size, device = place_of(self.trainer)
        train = self.split("train")
        if self._moves_to(device, train.images):
            train = replace(train, images=train.images.to(device))
        return BatchLoader(
            train,
            self._minibatches * self.batch_size,
            seed=self._seed,
            rank=rank,
            world_size=world_size,
            flip=self._flip,
            pin_memory=device.type == "cuda",
            ahead=int(device.type == "cuda" and train.images.is_cpu),
        )

    def on_after_batch_transfer(
        self,
        batch: dict[str, Tensor],
        dataloader_idx: int,  # noqa: ARG002 (Lightning's signature)
    ) -> dict[str, Tensor]:
        """Mirror the images that drew it and normalise them, on the device; toys pass unchanged."""
        return mirror_and_normalise(batch)

    def split(self, name: str) -> Images:
        """Return the whole split ``train`` or ``test``."""
        self.setup()
        if name not in self._opened:
            raise UserError(f"There is no split '{name}': choose train or test.")
        return self._opened[name]

    def take(self, split: str, n: int, seed: int = 0) -> Tensor:
        """Return ``n`` different images of ``split``, the same ones for the same seed."""
        return self.split(split).images[self.choose(split, n, seed)]

    def choose(self, split: str, n: int, seed: int = 0) -> Tensor:
        """Indices of those images."""
        images = self.split(split).images
        if not 0 < n <= len(images):
            raise UserError(
                f"{n} images were asked of the {split} split of '{self.name}', "
                f"which has {len(images)}: ask for 1 to {len(images)}."
            )
        chosen = np.random.default_rng([seed, len(images)]).permutation(len(images))[:n]
        return torch.from_numpy(chosen)

    def content_hash(self, split: str) -> str:
        """Return the hex SHA-256 of the images of ``split``."""
        return self.split(split).content_hash

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes in the order of ``label``, or None without labels."""
        meta = self._meta()
        label = self.source.label
        return meta["attributes"][label] if label is not None else meta["classes"]

    @property
    def attribute_names(self) -> dict[str, list[str]]:
        """Names of the values of each attribute, in the order of the columns of ``attributes``."""
        return self._meta()["attributes"]

    def _store(self) -> Store:
        if self._cache is None:
            self._cache = Store(self.data_dir, self.name, self.source, self.size, self.channels)
        return self._cache

    def _meta(self) -> dict[str, Any]:
        self.setup()
        return self._store().meta()

    def _check_shape(self) -> None:
        found = tuple(self._opened["train"].images.shape[1:])
        if found != self.shape:
            raise UserError(
                f"data.shape is {list(self.shape)} but '{self.name}' holds {list(found)}: "
                "set data.size and data.channels, and leave data.shape as it is."
            )

    def _moves_to(self, device: torch.device, images: Tensor) -> bool:
        if device.type == "cpu" or self._on_device is False:
            return False
        if self._on_device is True:
            return True
        # Half of what is free: the networks need the rest.
        return images.nbytes < _free_bytes(device) / 2


def place_of(trainer: lightning.Trainer | None) -> tuple[int, int, torch.device]:
    """Rank, number of processes and device that batches are for; without a trainer one CPU's."""
    if trainer is None:
        return 0, 1, torch.device("cpu")
    return trainer.global_rank, trainer.world_size, trainer.strategy.root_device


def mirror_and_normalise(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The batch without ``flip``, its images as float ``[-1, 1]``; toys pass unchanged."""
    flip, image = batch.get("flip"), batch["image"]
    if flip is not None:
        image = torch.where(flip.view(-1, 1, 1, 1), image.flip(-1), image)
    if image.dtype == torch.uint8:
        image = to_float(image)
    return {key: value for key, value in batch.items() if key != "flip"} | {"image": image}


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return 0


def check_whole(what: str, value: int) -> None:
    """Raise UserError unless ``value`` is a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"{what} is {value}: it must be a whole number of at least 1.")
