"""Windows of people for ``model=region``: a truth beside another picture of the same person."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from torch import Tensor

from ganforge.data.loader import BatchLoader
from ganforge.data.module import ImageDataModule
from ganforge.data.source import Source
from ganforge.data.splits import place_of
from ganforge.data.store import Images
from ganforge.utils.errors import UserError
from ganforge.utils.images import to_float
from ganforge.utils.regions import Region
from ganforge.utils.seeds import numpy_rng

CLOSED, OPEN = 0, 1
# The columns that a source of windows gives; people and pictures are numbers in their split, and
# a picture has at most one window with open eyes and one with closed.
ATTRIBUTES: dict[str, list[str]] = {"person": [], "picture": [], "eyes": ["closed", "open"]}
SIDES = ("exemplar", "truth", "input")


class RegionDataModule(lightning.LightningDataModule):
    """Windows around a region of people's faces, in batches of named sides.

    ``truth`` is a window with open eyes, ``exemplar`` one of another picture of the same ``person``
    (int64 ``N``), another one each epoch; ``input`` is the truth's picture with closed eyes where
    there is one, in half of the cases, and the truth itself elsewhere. Images arrive at the model
    as float ``[-1, 1]``; ``cases`` gives uint8.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        region: Region,
        shape: Sequence[int],
        size: int,
        channels: int,
        data_dir: Path | str,
        batch_size: int = 32,
        flip: bool = True,
        seed: int = 0,
        on_device: bool | Literal["auto"] = "auto",
    ) -> None:
        super().__init__()
        if tuple(shape) != (channels, *region.shape(size)):
            raise UserError(
                f"data.shape is {list(shape)}, but windows of data.size={size} and the region's "
                f"aspect are {[channels, *region.shape(size)]}: set data.size and leave the shape"
            )
        self.name, self.region, self.shape, self.size = name, region, tuple(shape), size
        self.batch_size = batch_size
        self._flip, self._seed = flip, seed
        self._windows = ImageDataModule(
            name, source, shape, data_dir, batch_size, channels, size, False, seed, on_device
        )
        self._opened: dict[str, Windows] = {}

    def prepare_data(self) -> None:
        """Build the cache unless it is there."""
        self._windows.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Open the cache; there must be people with two pictures of open eyes."""
        if self._opened:
            return
        self._windows.setup(stage)
        for split in ("train", "test"):
            windows = Windows(self._windows.split(split))
            if windows.people < 2:
                raise UserError(
                    f"The {split} split of '{self.name}' has {windows.people} people with two "
                    "pictures in which their eyes are open: there must be 2, to tell one person "
                    "from another."
                )
            self._opened[split] = windows

    def split(self, name: str) -> "Windows":
        """The windows of ``train`` or ``test``."""
        self.setup()
        return self._opened[name]

    def content_hash(self, split: str) -> str:
        """Return the hex SHA-256 of the windows of ``split``."""
        return self._windows.content_hash(split)

    def train_dataloader(self) -> "RegionLoader":
        """Return the shuffled batches of this process."""
        self._windows.trainer = self.trainer
        held = self._windows.train_dataloader().data  # on the accelerator, where it fits
        rank, world_size, device = place_of(self.trainer)
        windows = self.split("train")
        order = BatchLoader(
            Truths(held.images, len(windows.truths)),
            self.batch_size,
            seed=self._seed,
            rank=rank,
            world_size=world_size,
            flip=self._flip,
            pin_memory=device.type == "cuda",
        )
        return RegionLoader(order, windows, held.images, self._seed, rank)

    def on_after_batch_transfer(
        self,
        batch: dict[str, Tensor],
        dataloader_idx: int,  # noqa: ARG002 (Lightning's signature)
    ) -> dict[str, Tensor]:
        """Mirror what drew it, all sides alike, and normalise, on the device."""
        flip = batch.get("flip")
        sides = {side: batch[side] for side in SIDES}
        if flip is not None:
            sides = {
                k: torch.where(flip.view(-1, 1, 1, 1), v.flip(-1), v) for k, v in sides.items()
            }
        return {"person": batch["person"], **{k: to_float(v) for k, v in sides.items()}}

    def examples(self, count: int, seed: int) -> dict[str, Tensor]:
        """Some cases of the test split for pictures, uint8."""
        cases = self.split("test").cases()
        order = numpy_rng(seed, 0, "sample grid").permutation(len(cases["person"]))[:count]
        return {side: cases[side][torch.from_numpy(order)] for side in SIDES}


class Windows:
    """The windows of one split, by person, picture and state of the eyes.

    ``truths`` are the rows with open eyes of people who have two or more, sorted by person.
    """

    def __init__(self, held: Images) -> None:
        self.images = held.images
        self.person, self.picture, eyes = held.attributes.unbind(1)
        opened = torch.nonzero(eyes == OPEN).flatten()
        people, counts = self.person[opened].unique(return_counts=True)
        several = people[counts > 1]
        opened = opened[torch.isin(self.person[opened], several)]
        self.truths = opened[self.person[opened].argsort(stable=True)]
        self.people = len(several)
        # Where each truth's person begins among the truths, and how many they have there.
        _, place, count = self.person[self.truths].unique(return_inverse=True, return_counts=True)
        self._first, self._count = (count.cumsum(0) - count)[place], count[place]
        closed = torch.nonzero(eyes == CLOSED).flatten()
        row_of = dict(zip(self.picture[closed].tolist(), closed.tolist(), strict=True))
        pictures = self.picture[self.truths].tolist()
        self.shut = torch.tensor([row_of.get(p, -1) for p in pictures])  # -1: there is none
        with_truth = set(self.picture[opened].tolist())
        alone = torch.tensor([p not in with_truth for p in self.picture[closed].tolist()])
        self._only_closed = closed[alone] if len(closed) else closed

    def exemplars(self, truths: Tensor, drawn: Tensor) -> Tensor:
        """Rows of other pictures of the persons of some truths; ``drawn`` in [0, 1) chooses."""
        first, count = self._first[truths], self._count[truths]
        step = 1 + (drawn * (count - 1)).long()
        return self.truths[first + (truths - first + step) % count]

    def cases(self, count: int | None = None) -> dict[str, Tensor]:
        """Every truth beside every other picture of its person, ``count`` of them at most.

        uint8 ``exemplar``, ``truth``, ``input`` (with closed eyes where known), int64 ``person``.
        """
        ones, others = [], []
        for number, (first, n) in enumerate(
            zip(self._first.tolist(), self._count.tolist(), strict=True)
        ):
            others += [other for other in range(first, first + n) if other != number]
            ones += [number] * (n - 1)
        one, other = (torch.tensor(numbers[:count]) for numbers in (ones, others))
        truth, shut = self.truths[one], self.shut[one]
        return {
            "exemplar": self.images[self.truths[other]],
            "truth": self.images[truth],
            "input": self.images[torch.where(shut < 0, truth, shut)],
            "person": self.person[truth],
        }

    def closed_alone(self) -> dict[str, Tensor]:
        """Windows with closed eyes and no truth, beside every picture with open eyes.

        uint8 ``exemplar`` and ``input``, int64 ``person``.
        """
        closed, exemplars = [], []
        for row in self._only_closed.tolist():
            mine = self.truths[self.person[self.truths] == self.person[row]].tolist()
            closed += [row] * len(mine)
            exemplars += mine
        closed, exemplars = (torch.tensor(rows, dtype=torch.long) for rows in (closed, exemplars))
        return {
            "exemplar": self.images[exemplars],
            "input": self.images[closed],
            "person": self.person[closed],
        }


class Truths:
    """What a ``BatchLoader`` shuffles: the numbers of truths, whose windows lie in ``images``."""

    def __init__(self, images: Tensor, count: int) -> None:
        self.images, self._count = images, count

    def __len__(self) -> int:
        return self._count

    def rows(self, index: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """Nothing but the numbers, which the loader adds itself."""
        return {}


class RegionLoader:
    """Batches of ``truth``, ``exemplar`` and ``input`` (uint8), ``person`` and ``flip``.

    What is drawn depends on (seed, rank, epoch, position), so that a loaded state goes on exactly.
    """

    def __init__(
        self, order: BatchLoader, windows: Windows, images: Tensor, seed: int, rank: int
    ) -> None:
        self._order, self._windows, self._images = order, windows, images
        self._place = (seed, rank)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        windows = self._windows
        for batch in self._order:
            index = batch["index"].cpu()
            state = self._order.state_dict()
            rng = numpy_rng(*self._place, "cases", state["epoch"], state["offset"])
            drawn, coin = torch.from_numpy(rng.random((2, len(index))))
            truth, shut = windows.truths[index], windows.shut[index]
            rows = {
                "exemplar": windows.exemplars(index, drawn),
                "truth": truth,
                "input": torch.where((shut >= 0) & (coin < 0.5), shut, truth),
            }
            sides = {side: self._images[r.to(self._images.device)] for side, r in rows.items()}
            flip = {"flip": batch["flip"]} if "flip" in batch else {}
            yield {**sides, "person": windows.person[truth], **flip}

    def state_dict(self) -> dict[str, Any]:
        """Return the position."""
        return self._order.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._order.load_state_dict(state)
