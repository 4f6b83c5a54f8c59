"""The one data module: every data set, image or toy, reaches the models through it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ganforge.data.loader import BatchLoader
from ganforge.data.source import Source
from ganforge.data.splits import SplitDataModule, check_whole, place_of
from ganforge.data.store import Images, Store
from ganforge.utils.errors import UserError


class ImageDataModule(SplitDataModule):
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


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return 0
