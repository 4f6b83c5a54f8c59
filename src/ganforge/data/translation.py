"""Two domains of images for translation: two data modules, drawn from together."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from torch import Tensor

from ganforge.data.loader import BatchLoader
from ganforge.data.module import ImageDataModule
from ganforge.data.source import SPLITS, Source
from ganforge.data.splits import place_of
from ganforge.utils.errors import UserError
from ganforge.utils.images import to_float
from ganforge.utils.seeds import number, numpy_rng

SIDES = ("a", "b")


class TranslationDataModule(lightning.LightningDataModule):
    """Domains A and B, each an ``ImageDataModule``, whose batches hold both: ``a`` and ``b``.

    Args:
        shape: of one image B, as networks are built from it.
        paired: row i of A and row i of B show the same; else each side is shuffled by itself.
        truth: the test splits are paired, so that translations can be compared with the truth.
        channels: of B; ``channels_a`` of A.
        load_size: side of the training images in the cache; a random ``size``×``size`` piece of it
            is trained on. The sources must give test images of ``size``.

    """

    def __init__(
        self,
        name: str,
        a: Source,
        b: Source,
        shape: Sequence[int],
        size: int,
        channels: int,
        channels_a: int,
        data_dir: Path | str,
        paired: bool,
        truth: bool,
        load_size: int | None = None,
        batch_size: int = 1,
        flip: bool = True,
        seed: int = 0,
        on_device: bool | Literal["auto"] = "auto",
    ) -> None:
        super().__init__()
        load_size = load_size or size
        _check(size, load_size, paired, truth)
        self.name, self.size, self.paired, self.truth = name, size, paired, truth
        self.shape, self.channels = tuple(shape), channels
        self._seed = seed
        self._domains = {
            side: ImageDataModule(
                f"{name}-{side}",
                source,
                (count, load_size, load_size),
                data_dir,
                batch_size,
                count,
                size,
                flip,
                # Unpaired sides of equal length must not be shuffled alike.
                seed if paired or side == "a" else number(seed, 0, "side b"),
                on_device,
            )
            for side, source, count in (("a", a, channels_a), ("b", b, channels))
        }

    def pairs_in(self, split: str) -> bool:
        """Whether image i of both sides belongs together in ``split``."""
        return self.paired or (self.truth and split == "test")

    def domain(self, side: str) -> ImageDataModule:
        """The data module of one side, ``a`` or ``b``: its splits are what scores are made from."""
        return self._domains[side]

    def content_hash(self, split: str) -> str:
        """Return the hex SHA-256 of both sides' images of ``split``."""
        both = "".join(self.domain(side).content_hash(split) for side in SIDES)
        return hashlib.sha256(both.encode()).hexdigest()

    def examples(self, count: int, seed: int) -> dict[str, Tensor]:
        """The same rows of both test splits, so that pairs stay pairs; uint8, for pictures."""
        splits = {side: self.domain(side).split("test") for side in SIDES}
        rows = numpy_rng(seed, 0, "sample grid").permutation(min(map(len, splits.values())))[:count]
        return {side: split.images[torch.from_numpy(rows)] for side, split in splits.items()}

    def prepare_data(self) -> None:
        """Build both caches unless they are there."""
        for domain in self._domains.values():
            domain.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Open both caches; sides that should be pairs must be equally long."""
        for domain in self._domains.values():
            domain.setup(stage)
        for split in filter(self.pairs_in, SPLITS):
            counts = [len(self.domain(side).split(split)) for side in SIDES]
            if counts[0] != counts[1]:
                raise UserError(
                    f"The {split} split of '{self.name}' has {counts[0]} images A and {counts[1]} "
                    "images B: pairs need as many of each."
                )

    def train_dataloader(self) -> "PairLoader":
        """Return the shuffled batches of this process."""
        loaders = []
        for domain in self._domains.values():
            domain.trainer = self.trainer
            loaders.append(domain.train_dataloader())
        rank, _, _ = place_of(self.trainer)
        return PairLoader(*loaders, self.size, self.paired, self._seed, rank)

    def on_after_batch_transfer(
        self,
        batch: dict[str, Tensor],
        dataloader_idx: int,  # noqa: ARG002 (Lightning's signature)
    ) -> dict[str, Tensor]:
        """Cut out the drawn pieces, mirror and normalise, on the device."""
        return {
            side: to_float(
                _piece(batch[side], batch.get(f"flip_{side}"), batch[f"corner_{side}"], self.size)
            )
            for side in SIDES
        }


def _check(size: int, load_size: int, paired: bool, truth: bool) -> None:
    """Raise a UserError for settings that contradict each other."""
    if load_size < size:
        raise UserError(
            f"data.load_size is {load_size}, smaller than data.size {size}: pieces of that "
            "size are cut out of it, so make it at least as large."
        )
    if paired and not truth:
        raise UserError("data.paired=true needs data.truth=true: the test images are pairs too")


class PairLoader:
    """Batches of both sides: uint8 ``a`` and ``b``, bool ``flip_*`` and int64 ``corner_*``.

    Paired: B is looked up at A's rows, and both get the same mirror and corner. Unpaired: an epoch
    is one pass over the larger side, while the smaller one goes round and round. All that is drawn
    depends on (seed, rank, epoch, position), so that a loaded state goes on exactly.
    """

    def __init__(
        self, a: BatchLoader, b: BatchLoader, size: int, paired: bool, seed: int, rank: int
    ) -> None:
        self._a, self._b, self._size, self._paired = a, b, size, paired
        self._place = (seed, rank)
        self._endless: Iterator[dict[str, Tensor]] | None = None

    def __len__(self) -> int:
        return len(self._a) if self._paired else max(len(self._a), len(self._b))

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return self._pairs() if self._paired else self._strangers()

    def _pairs(self) -> Iterator[dict[str, Tensor]]:
        images_b = self._b.data.images
        for batch in self._a:
            corner = self._corners(self._a, "a", batch["image"])
            rows = images_b[batch["index"].to(images_b.device)]
            yield _sides(batch, batch | {"image": rows}, corner, corner)

    def _strangers(self) -> Iterator[dict[str, Tensor]]:
        # The longer side first: it ends the epoch before a batch of the other is drawn in vain.
        longer, shorter = sorted((self._a, self._b), key=len, reverse=True)
        if self._endless is None:
            self._endless = chain.from_iterable(iter(shorter) for _ in repeat(None))
        for one, other in zip(longer, self._endless, strict=False):
            batch_a, batch_b = (one, other) if longer is self._a else (other, one)
            corner_a = self._corners(self._a, "a", batch_a["image"])
            corner_b = self._corners(self._b, "b", batch_b["image"])
            yield _sides(batch_a, batch_b, corner_a, corner_b)

    def _corners(self, loader: BatchLoader, side: str, images: Tensor) -> Tensor:
        """Draw where a piece begins in every image: top and left, int64 ``N×2``."""
        state = loader.state_dict()
        rng = numpy_rng(*self._place, f"corners {side}", state["epoch"], state["offset"])
        room = (images.shape[-2] - self._size + 1, images.shape[-1] - self._size + 1)
        return loader.beside_images(torch.from_numpy(rng.integers(room, size=(len(images), 2))))

    def state_dict(self) -> dict[str, Any]:
        """Return both positions."""
        return {"a": self._a.state_dict(), "b": self._b.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._a.load_state_dict(state["a"])
        self._b.load_state_dict(state["b"])
        self._endless = None


def _sides(
    a: dict[str, Tensor], b: dict[str, Tensor], corner_a: Tensor, corner_b: Tensor
) -> dict[str, Tensor]:
    batch = {"a": a["image"], "b": b["image"], "corner_a": corner_a, "corner_b": corner_b}
    if "flip" in a:
        batch |= {"flip_a": a["flip"], "flip_b": b["flip"]}
    return batch


def _piece(images: Tensor, flip: Tensor | None, corners: Tensor, size: int) -> Tensor:
    if images.shape[-2:] != (size, size):
        # By tensors of places: to read the corners would make the host wait for a GPU.
        side = torch.arange(size, device=images.device)
        corners = corners.to(images.device)
        rows, columns = (corners[:, each, None] + side for each in (0, 1))
        n = torch.arange(len(images), device=images.device)[:, None, None]
        # Indices around a slice put the channels last.
        images = images[n, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1).contiguous()
    if flip is not None:
        images = torch.where(flip.view(-1, 1, 1, 1), images.flip(-1), images)
    return images
