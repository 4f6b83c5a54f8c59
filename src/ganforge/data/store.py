"""Memory-mapped cache of a data set: built once, atomically, and opened in an instant."""

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from ganforge.data.parallel import patient_progress
from ganforge.data.source import SPLITS, Chunk, Source
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.files import write_json
from ganforge.utils.terminal import tell

UNWRITABLE = (
    errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS,
)  # fmt: skip
CHECKED = 1 << 24  # bytes that are read at once
LAYOUT = 1  # raise it when the files of the cache change their meaning


@dataclass(frozen=True)
class Images:
    """One split, memory-mapped: uint8 ``N×C×H×W`` (toys: float32 ``N×D``), int64 ``N``, ``N×A``."""

    images: Tensor
    labels: Tensor | None
    attributes: Tensor | None
    content_hash: str
    drawn: ClassVar[str] = ""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labelled(self) -> bool:
        """Whether there are classes."""
        return self.labels is not None

    def rows(self, index: Tensor) -> dict[str, Tensor]:
        """Rows by number, each on the device that holds its column."""
        return {key: column[index.to(column.device)] for key, column in self.held().items()}

    def held(self) -> dict[str, Tensor]:
        """All rows: nothing is read before it is looked at."""
        columns = {"image": self.images, "label": self.labels, "attributes": self.attributes}
        return {key: column for key, column in columns.items() if column is not None}

    def choose(self, n: int, seed: int) -> Tensor:
        """Numbers of ``n`` rows at random."""
        order = np.random.default_rng([seed, len(self)]).permutation(len(self))
        return torch.from_numpy(order[:n])


class Store:
    """The cache of one source at one size, in a folder whose name tells what it holds."""

    def __init__(
        self, data_dir: Path, name: str, source: Source, size: int | None, channels: int | None
    ) -> None:
        facts = {"layout": LAYOUT, "size": size, "channels": channels, **source.key()}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        self.facts = facts
        self.folder = data_dir / "cache" / f"{name}-{digest[:16]}"
        self._source, self._size, self._channels = source, size, channels

    def build(self) -> None:
        """Fill the cache unless it is there and whole; safe for several processes at once."""
        if self._is_whole():
            return
        with _explained(self.folder):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.folder}.lock"):
                if self._is_whole():
                    return
                if self.folder.exists():
                    tell(f"The cached data set in '{self.folder}' was damaged: it is built again.")
                self._build_locked()

    def open(self, split: str) -> Images:
        """Map one split into memory."""
        if split not in SPLITS:
            raise UserError(f"There is no split '{split}': choose one of {', '.join(SPLITS)}.")
        meta = self.meta()
        images, labels, attributes = (
            _map(self.folder / split / f"{part}.npy", optional=part != "images")
            for part in ("images", "labels", "attributes")
        )
        if len(images) != meta["count"][split]:
            raise _damaged(self.folder)
        if self._source.label is not None:
            labels = attributes[:, list(meta["attributes"]).index(self._source.label)]
        return Images(images, labels, attributes, meta["sha256"][split])

    def meta(self) -> dict[str, Any]:
        """Return the names, counts and hashes written when the cache was built."""
        try:
            return json.loads(self._meta_path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise _damaged(self.folder) from error

    @property
    def _meta_path(self) -> Path:
        return self.folder / "meta.json"

    def _is_whole(self) -> bool:
        """Whether the cache is there as it was written.

        Files that nobody touched are taken as they are; others, such as copies, are read through.
        """
        if not self._meta_path.exists():
            return False
        try:
            meta = self.meta()
            # Of an older cache only the images are known by their hash.
            files = meta.get("files") or {
                f"{split}/images.npy": {"count": meta["count"][split], "sha256": digest}
                for split, digest in meta["sha256"].items()
            }
            seals = {name: _seal(self.folder / name) for name in files}
            touched = [name for name, seal in seals.items() if files[name].get("seal") != seal]
            if not all(_matches(self.folder / name, files[name]) for name in touched):
                return False
        except (DamagedFileError, KeyError, TypeError, AttributeError, FileNotFoundError):
            return False
        if touched:
            sealed = {name: {**files[name], "seal": seal} for name, seal in seals.items()}
            with suppress(OSError, UserError):  # a cache of others is read through each time
                write_json({**meta, "files": sealed}, self._meta_path)
        return True

    def _build_locked(self) -> None:
        for leftover in self.folder.parent.glob(f".{self.folder.name}.*"):
            shutil.rmtree(leftover, ignore_errors=True)  # a build that was killed
        shutil.rmtree(self.folder, ignore_errors=True)
        temporary = self.folder.with_name(f".{self.folder.name}.{uuid.uuid4().hex[:8]}")
        try:
            written = {split: self._write(split, temporary / split) for split in SPLITS}
            names = self._source.names()
            meta = {
                "count": {split: parts["images"]["count"] for split, parts in written.items()},
                "sha256": {split: parts["images"]["sha256"] for split, parts in written.items()},
                **asdict(names),
                "facts": self.facts,
                "files": {
                    f"{split}/{part}.npy": {
                        **facts,
                        "seal": _seal(temporary / split / f"{part}.npy"),
                    }
                    for split, parts in written.items()
                    for part, facts in parts.items()
                },
            }
            write_json(meta, temporary / "meta.json")
            temporary.replace(self.folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _write(self, split: str, folder: Path) -> dict[str, dict[str, Any]]:
        """Write the columns of a split; returns the length and the hash of each."""
        folder.mkdir(parents=True)
        columns: dict[str, _Column] = {}
        for chunk in self._source.chunks(split, self._size, self._channels):
            for part, rows in _parts(chunk):
                if part not in columns:
                    columns[part] = _Column(folder / f"{part}.npy", rows)
                columns[part].append(rows)
        for column in columns.values():
            column.close()
        if "images" not in columns:
            raise UserError(f"The split '{split}' of this data set has no images.")
        return {
            part: {"count": column.count, "sha256": column.sha256()}
            for part, column in columns.items()
        }


class _Column:
    """An .npy file that grows; numpy keeps room in the header for the final count."""

    def __init__(self, path: Path, like: np.ndarray) -> None:
        self.count = 0
        self._row, self._dtype = like.shape[1:], like.dtype
        self._file = path.open("wb")
        self._hash = _hash_of(self._dtype, self._row)
        self._write_header()

    def append(self, rows: np.ndarray) -> None:
        rows = np.ascontiguousarray(rows, dtype=self._dtype)
        self._file.write(rows.data)
        self._hash.update(rows.data)
        self.count += len(rows)

    def close(self) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.count, *self._row),
        }
        np.lib.format.write_array_header_1_0(self._file, header)


def _parts(chunk: Chunk) -> Iterator[tuple[str, np.ndarray]]:
    yield "images", chunk.images
    if chunk.labels is not None:
        yield "labels", chunk.labels.astype(np.int64, copy=False)
    if chunk.attributes is not None:
        yield "attributes", chunk.attributes.astype(np.int64, copy=False)


def _hash_of(dtype: np.dtype, row: tuple[int, ...]) -> Any:
    """A hash of rows that begins with what a row is."""
    return hashlib.sha256(f"{dtype.str}{row}".encode())


def _seal(path: Path) -> list[int]:
    """What no change of a file leaves as it was."""
    found = path.stat()
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _matches(path: Path, facts: dict[str, Any]) -> bool:
    """Whether a file holds as many rows as were written, and the same."""
    try:
        rows = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    if len(rows) != facts["count"]:
        return False
    digest, step = _hash_of(rows.dtype, rows.shape[1:]), max(1, CHECKED // max(1, rows[:1].nbytes))
    with patient_progress("checking the cached images", len(rows)) as advance:
        for start in range(0, len(rows), step):
            digest.update(np.ascontiguousarray(rows[start : start + step]).data)
            advance(step)
    return digest.hexdigest() == facts["sha256"]


def _map(path: Path, optional: bool) -> Tensor | None:
    if optional and not path.exists():
        return None
    try:
        # Copy-on-write: torch wants a writable array, and the file must stay as it is.
        array = np.load(path, mmap_mode="c")
    except (OSError, ValueError) as error:
        raise _damaged(path.parent.parent) from error
    return torch.from_numpy(array)


def _damaged(folder: Path) -> DamagedFileError:
    return DamagedFileError(
        f"The cached data set in '{folder}' is damaged: delete that folder, it is built again."
    )


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise UserError(
            f"The cache of the data cannot be written to '{folder.parent}' ({error.strerror}): "
            "free some space there or choose another folder with paths.data_dir or GANFORGE_DATA."
        ) from error
