"""Data sets of the Hugging Face hub, and folders that its library ``datasets`` reads."""

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ganforge.data.decode import BROKEN, Decoder, Fit, check_choice, reason
from ganforge.data.parallel import CHUNK, map_threads
from ganforge.data.source import Chunk, Names, check_fraction, check_size
from ganforge.utils.errors import DamagedFileError, UserError

AUTO = "auto"
HELD_OUT = ("test", "validation", "valid", "val", "dev")  # the first one there is the test split


class HubDataset:
    """The image and label columns of ``USER/NAME``, or of a folder, as ``datasets`` reads them.

    Args:
        path: a name on the hub, a folder that the library saved, or one of Parquet files or images.
        subset: which of the data set's configurations, where it has several.
        image_column: ``auto`` is the first column of images.
        label_column: ``auto`` is the first column of classes; None is none.
        test_fraction: of the training rows held out at random where no split is named for it.
        fit: how pictures become squares.
        data_dir: where the library keeps what it fetches.

    """

    label = None

    def __init__(
        self,
        path: str,
        subset: str | None = None,
        image_column: str = AUTO,
        label_column: str | None = AUTO,
        test_fraction: float = 0.1,
        fit: Fit = "crop",
        data_dir: Path | str | None = None,
    ) -> None:
        check_choice("fit", fit, ("crop", "resize", "pad"))
        check_fraction("data.source.test_fraction", test_fraction)
        self.path, self._subset, self._fit = str(path), subset, fit
        self._asked, self._test_fraction = (image_column, label_column), test_fraction
        self._cache = str(Path(data_dir).expanduser() / "hub") if data_dir else None

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes that no image has."""
        del channels
        check_size("Images", size, 1, 1024)

    def key(self) -> dict[str, Any]:
        """Return the options, and the library's fingerprints of the rows."""
        rows = {name: split._fingerprint for name, split in self._splits.items()}
        return {"hub": 1, "rows": rows, "columns": self._columns, "fit": self._fit}

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:
        """Decode the rows of ``split`` in their order."""
        from datasets import Image

        image, label = self._columns
        rows = self._splits[split]
        pictures = rows.select_columns([image]).cast_column(image, Image(decode=False))
        labels = None if label is None else self._numbers(rows, label)
        decode = partial(self._decode, pictures, image, Decoder(size, channels, self._fit))
        parts = (range(n, min(n + CHUNK, len(rows))) for n in range(0, len(rows), CHUNK))
        for part, images in map_threads(decode, parts, len(rows), f"reading {split} images"):
            yield Chunk(images, None if labels is None else labels[part])

    def names(self) -> Names:
        """Return the classes."""
        return Names(classes=self._classes)

    def _decode(self, rows: Any, column: str, decoder: Decoder, part: Sequence[int]) -> np.ndarray:
        images = []
        for number, cell in zip(part, rows[part.start : part.stop][column], strict=True):
            try:
                data = cell["bytes"] or Path(cell["path"]).read_bytes()
                images.append(decoder.decode(data))
            except BROKEN as error:
                raise DamagedFileError(
                    f"row {number} of '{self.path}' holds no picture in '{column}' "
                    f"({reason(error)}): save the data set again without it"
                ) from error
        return np.stack(images)

    def _numbers(self, rows: Any, label: str) -> np.ndarray:
        """The number of each row's class."""
        known = {name: number for number, name in enumerate(self._classes)}
        values = [self._class_of(value) for value in rows[label]]
        if None in values:
            raise UserError(
                f"'{self.path}' has rows without a class in '{label}': data.source.label_column="
                "null trains without classes"
            )
        return np.array([known[value] for value in values])

    def _class_of(self, value: Any) -> str | None:
        from datasets import ClassLabel

        kind = self._splits["train"].features[self._columns[1]]
        if isinstance(kind, ClassLabel):
            return None if value is None or value < 0 else kind.names[value]
        return None if value is None else str(value)

    @cached_property
    def _classes(self) -> list[str] | None:
        """The library's names of classes, or all values that there are."""
        label = self._columns[1]
        if label is None:
            return None
        kind = self._splits["train"].features[label]
        if names := getattr(kind, "names", None):
            return list(names)
        values = {value for rows in self._splits.values() for value in rows.unique(label)}
        return [str(value) for value in sorted(values - {None})]

    @cached_property
    def _columns(self) -> tuple[str, str | None]:
        """The columns of images and of labels."""
        from datasets import ClassLabel, Image

        kinds, (image, label) = self._splits["train"].features, self._asked
        if image == AUTO:
            image = next((name for name, kind in kinds.items() if isinstance(kind, Image)), None)
        if label == AUTO:
            label = next((n for n, kind in kinds.items() if isinstance(kind, ClassLabel)), None)
        for key, name in (("image_column", image), ("label_column", label)):
            if name not in kinds and (name is not None or key == "image_column"):
                raise UserError(
                    f"'{self.path}' has no column {name or 'of images'}, its columns are "
                    f"{', '.join(kinds)}: set data.source.{key}=COLUMN"
                )
        if not isinstance(kinds[image], Image):
            raise UserError(f"the column {image} of '{self.path}' holds no images: {kinds[image]}")
        return image, label

    @cached_property
    def _splits(self) -> dict[str, Any]:
        """The rows of both splits."""
        found = self._load()
        train = found.get("train") or next(iter(found.values()))
        held_out = [found[name] for name in HELD_OUT if name in found and found[name] is not train]
        if len(train) < 2 and not held_out:
            raise UserError(f"'{self.path}' has {len(train)} rows; at least two are needed.")
        if not held_out:
            divided = train.train_test_split(self._test_fraction, seed=0)
            return {"train": divided["train"], "test": divided["test"]}
        return {"train": train, "test": held_out[0]}

    def _load(self) -> dict[str, Any]:
        """The library's splits by name."""
        try:
            import datasets
        except ModuleNotFoundError as error:
            raise UserError("data=hub needs datasets: pip install 'ganforge[hub]'") from error
        folder = Path(self.path).expanduser()
        try:
            if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
                found = datasets.load_from_disk(str(folder))
            else:
                place = str(folder) if folder.exists() else self.path
                found = datasets.load_dataset(place, self._subset, cache_dir=self._cache)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
            first = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
            raise UserError(
                f"'{self.path}' cannot be read as a data set ({first.rstrip('. ')}): give the name "
                "of one on the Hugging Face hub, USER/NAME, or a folder that datasets reads"
            ) from error
        return found if isinstance(found, dict) else {"train": found}
