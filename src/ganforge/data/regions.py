"""Windows of people for ``model=region``: a truth beside another picture of the same person."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from torch import Tensor

from ganforge.data.loader import BatchLoader
from ganforge.data.module import ImageDataModule
from ganforge.data.sound import BANDS, COLUMNS
from ganforge.data.source import Source
from ganforge.data.splits import place_of
from ganforge.data.store import Images
from ganforge.utils.errors import UserError
from ganforge.utils.images import to_float
from ganforge.utils.regions import Region
from ganforge.utils.seeds import numpy_rng

# What a window is good for. Open eyes are a truth, and an exemplar for other pictures; closed eyes
# are the input to their picture's truth. A speaking mouth is a truth, a quiet one an exemplar.
STATES = ["closed", "open", "speaking", "quiet"]
CLOSED, OPEN, SPEAKING, QUIET = range(4)
# The columns that a source of windows gives first; people and pictures are numbers in their split,
# and a picture has at most one window of each state.
ATTRIBUTES: dict[str, list[str]] = {"person": [], "picture": [], "state": STATES}
SIDES = ("exemplar", "truth", "input")


class RegionDataModule(lightning.LightningDataModule):
    """Windows around a region of people's faces, in batches of named sides.

    ``truth`` is a window with open eyes, ``exemplar`` one of another picture of the same ``person``
    (int64 ``N``), another one each epoch; ``input`` is the truth's picture with closed eyes where
    there is one, in half of the cases, and the truth itself elsewhere. Images arrive at the model
    as float ``[-1, 1]``; ``cases`` gives uint8. Where there is a source of ``sound``, its rows
    belong to those of ``source``, and batches hold ``sound``, ``N×1×32×32``, too.
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
        sound: Source | None = None,
    ) -> None:
        super().__init__()
        if tuple(shape) != (channels, *region.shape(size)):
            raise UserError(
                f"data.shape is {list(shape)}, but windows of data.size={size} and the region's "
                f"aspect are {[channels, *region.shape(size)]}: set data.size and leave the shape"
            )
        self.name, self.region, self.shape, self.size = name, region, tuple(shape), size
        self.batch_size, self.folder = batch_size, Path(data_dir).expanduser()
        self._flip, self._seed = flip, seed
        self._windows = ImageDataModule(
            name, source, shape, data_dir, batch_size, channels, size, False, seed, on_device
        )
        self._sounds = None
        if sound is not None:
            self._sounds = ImageDataModule(
                f"{name}-sound", sound, (1, BANDS, COLUMNS), data_dir, batch_size, 1, COLUMNS,
                False, seed, on_device,
            )  # fmt: skip
        self._opened: dict[str, Windows] = {}

    def prepare_data(self) -> None:
        """Build the caches unless they are there."""
        for part in (self._windows, self._sounds):
            if part is not None:
                part.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Open the cache; there must be people with two pictures of open eyes."""
        if self._opened:
            return
        for part in (self._windows, self._sounds):
            if part is not None:
                part.setup(stage)
        for split in ("train", "test"):
            sounds = self._sounds.split(split) if self._sounds else None
            windows = Windows(self._windows.split(split), sounds)
            if windows.people < 2:
                raise UserError(
                    f"The {split} split of '{self.name}' has {windows.people} people with a truth "
                    "and an exemplar (for eyes: two pictures in which they are open): there must "
                    "be 2, to tell one person from another."
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
        if "sound" in batch:
            sides["sound"] = batch["sound"]
        return {"person": batch["person"], **{k: to_float(v) for k, v in sides.items()}}

    def examples(self, count: int, seed: int) -> dict[str, Tensor]:
        """Some cases of the test split for pictures, uint8."""
        cases = self.split("test").cases()
        order = numpy_rng(seed, 0, "sample grid").permutation(len(cases["person"]))[:count]
        return {k: cases[k][torch.from_numpy(order)] for k in (*SIDES, "sound") if k in cases}


class Windows:
    """The windows of one split, by person, picture and state, and the sounds beside them.

    ``truths`` are the rows of people who have an exemplar in another picture, sorted by person.
    """

    def __init__(self, held: Images, sounds: Images | None = None) -> None:
        self.images = held.images
        self.sounds = sounds.images if sounds is not None else None
        self.attributes = held.attributes
        self.person, self.picture, state = held.attributes[:, :3].unbind(1)
        exemplars = self._sorted(torch.isin(state, torch.tensor([OPEN, QUIET])))
        truths = self._sorted(torch.isin(state, torch.tensor([OPEN, SPEAKING])))
        # Where each truth's person begins among the exemplars, how many they have there, and where
        # the truth itself is one of them.
        who = self.person[exemplars].contiguous()
        first = torch.searchsorted(who, self.person[truths].contiguous())
        count = torch.searchsorted(who, self.person[truths].contiguous(), right=True) - first
        own = torch.full((len(held.images),), -1)
        own[exemplars] = torch.arange(len(exemplars))
        others = count - (own[truths] >= 0).long()
        kept = others > 0
        self.truths, self._exemplars = truths[kept], exemplars
        self._first, self._count, self._others = first[kept], count[kept], others[kept]
        self._own = own[self.truths]
        self.people = len(self.person[self.truths].unique())
        closed = torch.nonzero(state == CLOSED).flatten()
        row_of = dict(zip(self.picture[closed].tolist(), closed.tolist(), strict=True))
        pictures = self.picture[self.truths].tolist()
        self.shut = torch.tensor([row_of.get(p, -1) for p in pictures])  # -1: there is none
        with_truth = set(self.picture[state == OPEN].tolist())
        alone = [p not in with_truth for p in self.picture[closed].tolist()]
        self._only_closed = closed[torch.tensor(alone, dtype=torch.bool)]

    def _sorted(self, chosen: Tensor) -> Tensor:
        """The chosen rows, by person."""
        rows = torch.nonzero(chosen).flatten()
        return rows[self.person[rows].argsort(stable=True)]

    def exemplars(self, truths: Tensor, drawn: Tensor) -> Tensor:
        """Rows of exemplars of the persons of some truths, in other pictures.

        ``drawn``, in [0, 1), chooses among them.
        """
        return self._nth(truths, (drawn * self._others[truths]).long())

    def _nth(self, truths: Tensor, number: Tensor) -> Tensor:
        first, own = self._first[truths], self._own[truths]
        # From the truth itself, where it is an exemplar, once around the person's.
        start = torch.where(own >= 0, own - first + 1, torch.zeros_like(own))
        return self._exemplars[first + (start + number) % self._count[truths]]

    def cases(self, count: int | None = None) -> dict[str, Tensor]:
        """Every truth beside every exemplar of its person, ``count`` of them at most.

        uint8 ``exemplar``, ``truth``, ``input`` (with closed eyes where known), ``sound`` where
        there is some, and int64 ``person`` and ``row``, of the truth.
        """
        one = torch.arange(len(self.truths)).repeat_interleave(self._others)[:count]
        number = torch.cat([torch.arange(n) for n in self._others.tolist()])[:count]
        truth, shut = self.truths[one], self.shut[one]
        return {
            "exemplar": self.images[self._nth(one, number)],
            "truth": self.images[truth],
            "input": self.images[torch.where(shut < 0, truth, shut)],
            "person": self.person[truth],
            "row": truth,
            **({} if self.sounds is None else {"sound": self.sounds[truth]}),
        }

    def closed_alone(self) -> dict[str, Tensor]:
        """Windows with closed eyes and no truth, beside every exemplar of the person.

        uint8 ``exemplar`` and ``input``, int64 ``person``.
        """
        closed, exemplars = [], []
        for row in self._only_closed.tolist():
            mine = self._exemplars[self.person[self._exemplars] == self.person[row]].tolist()
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
            if windows.sounds is not None:
                sides["sound"] = windows.sounds[truth]
            yield {**sides, "person": windows.person[truth], **flip}

    def state_dict(self) -> dict[str, Any]:
        """Return the position."""
        return self._order.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._order.load_state_dict(state)
