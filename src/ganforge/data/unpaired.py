"""One side of an unpaired set in folders: ``trainA``, ``trainB``, ``testA``, ``testB``."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ganforge.data.decode import Fit, OnBad, all_grey
from ganforge.data.image_folder import ImageFolder
from ganforge.data.source import Chunk, Names
from ganforge.utils.errors import UserError


class UnpairedFolder:
    """The images of ``train_folder`` and ``test_folder`` inside of a folder or zip archive.

    Training images are kept at ``load_size`` (None: as large as the test images), of which training
    cuts random pieces. ``test_folder=None`` takes ``test_fraction`` of the images as test split.
    """

    label = None

    def __init__(
        self,
        path: Path | str,
        train_folder: str,
        test_folder: str | None = None,
        load_size: int | None = None,
        fit: Fit = "crop",
        test_fraction: float = 0.1,
        convert: bool = False,
        on_bad_image: OnBad = "raise",
        value_range: Sequence[float] | None = None,
        workers: int | None = None,
        data_dir: Path | str | None = None,
    ) -> None:
        self._images = ImageFolder(
            path,
            fit,
            test_fraction,
            train_folder,
            test_folder,
            on_bad_image,
            workers,
            value_range,
            data_dir,
            "data.a",
        )
        self._folder = train_folder
        self._load_size, self._convert = load_size, convert
        self._colour_checked = False

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes that no image has."""
        self._images.check(size, channels)
        self._images.check(self._load_size or size, channels)

    def key(self) -> dict[str, Any]:
        """Return the facts of the folder and how large training images are."""
        return {**self._images.key(), "load_size": self._load_size}

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:
        """Yield the images of ``split``, sorted by name."""
        if channels == 3 and not (self._convert or self._colour_checked):
            self._check_colour()
        side = (self._load_size or size) if split == "train" else size
        for chunk in self._images.chunks(split, side, channels):
            yield Chunk(chunk.images)

    def names(self) -> Names:
        """Return the images that were skipped."""
        return Names(skipped=self._images.names().skipped)

    def _check_colour(self) -> None:
        """Refuse a side that is all grey where the networks are made for colour."""
        names = self._images.files("train")
        if all_grey(self._images.listing, names):
            raise UserError(
                f"Every image of the side '{self._folder}' is grey, such as '{names[0]}', but a "
                "side must have 3 channels: set data.channels=1 to train on grey, or "
                "data.a.convert=true to repeat grey in three channels."
            )
        self._colour_checked = True
