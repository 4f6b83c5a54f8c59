"""Reading a packed data set: images by number, and an order that reads few chunks at a time."""

import json
import logging
import re
from collections import OrderedDict
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganforge.data.chunk_cache import ChunkCache
from ganforge.data.packing import FACTS, LAYOUT, need_litdata
from ganforge.utils.errors import UserError
from ganforge.utils.files import read_small
from ganforge.utils.seeds import numpy_rng

PLAIN = re.compile(r"numpy|no_header_numpy:\d+")
CHUNK_NAME = re.compile(r"chunk-\d+-\d+\.bin")
LARGEST_INDEX = 256 << 20  # bytes

HELD = 20_000  # images that may be read into memory at once


class Stream:
    """One split of a packed data set, in a folder or an object store.

    A reader of litdata's keeps one chunk open, and is a hundred times slower where every image lies
    in another chunk than the last. So there are ``window`` of them, and each stays with its chunk.
    """

    def __init__(
        self, path: str, cache_dir: Path, window: int, cache_size: str | None, options: dict | None
    ) -> None:
        need_litdata()
        # They tell of every reader that is opened, and of where credentials were found.
        for library in ("litdata", "botocore"):
            logging.getLogger(library).setLevel(logging.WARNING)
        self._path, self._window = path, window
        self._readers: OrderedDict[int, Any] = OrderedDict()  # by chunk, the latest used last
        self._lock = Lock()
        index = self._open(path, cache_dir, cache_size, options or {})
        self._chunks: list[dict[str, Any]] = index["chunks"]
        self.facts: dict[str, Any] = index[FACTS]
        self.sizes = [chunk["chunk_size"] for chunk in index["chunks"]]
        self._ends = np.cumsum(self.sizes)

    def __len__(self) -> int:
        return self.facts["count"]

    @property
    def content_hash(self) -> str:
        """Hex SHA-256 of the images in the order of their numbers."""
        return self.facts["sha256"]

    def rows(self, index: Tensor) -> dict[str, Tensor]:
        """Rows by number, chunk after chunk inside, in the order asked for outside."""
        numbers = index.numpy()
        chunks = np.searchsorted(self._ends, numbers, side="right")
        samples: list[dict[str, np.ndarray]] = [{}] * len(numbers)
        with self._lock:  # batches are read ahead in a thread of their own
            for row in np.argsort(chunks, kind="stable"):
                samples[row] = self._sample(int(chunks[row]), int(numbers[row]))
        rows = {
            key: torch.from_numpy(np.stack([sample[key] for sample in samples]))
            for key in samples[0]
        }
        if "label" in rows:
            rows["label"] = rows["label"][:, 0]
        if self.facts["label"] is not None:
            column = list(self.facts["attributes"]).index(self.facts["label"])
            rows["label"] = rows["attributes"][:, column]
        return rows

    @property
    def drawn(self) -> str:
        """What ``choose`` depends on beside its seed."""
        return f"{len(self.sizes)} chunks, {self._window} at a time"

    @property
    def labelled(self) -> bool:
        """Whether there are classes."""
        return bool(self.facts["label"] or self.facts["classes"])

    def held(self) -> dict[str, Tensor]:
        """At most ``HELD`` rows, read into memory."""
        return self.rows(self.choose(min(HELD, len(self)), seed=0).sort().values)

    def choose(self, n: int, seed: int) -> Tensor:
        """Numbers of ``n`` rows from as few chunks as hold them and are mixed in training."""
        return torch.from_numpy(ChunkOrder(self.sizes, self._window, seed).part(0, 0, n))

    def _sample(self, chunk: int, number: int) -> dict[str, np.ndarray]:
        try:
            try:
                return self._reader(chunk)[number]
            except FileNotFoundError:  # another process made room before the chunk was open here
                self._readers.pop(chunk, None)
                return self._reader(chunk)[number]
        except Exception as error:  # each object store has errors of its own
            raise UserError(
                f"chunk {chunk} of '{self._path}' can no longer be read ({_reason(error)}): see "
                "whether that can be reached, then go on with the run by resume="
            ) from error

    def _reader(self, chunk: int) -> Any:
        if chunk not in self._readers:
            if self._cache:
                kept = {self._chunks[other]["filename"] for other in self._readers}
                wanted = self._chunks[chunk]
                self._cache.fetch(wanted["filename"], wanted["chunk_bytes"], kept)
            full = len(self._readers) == self._window
            self._readers[chunk] = (
                self._readers.popitem(last=False)[1] if full else self._open_reader()
            )
        self._readers.move_to_end(chunk)
        return self._readers[chunk]

    def _open(self, path: str, cache_dir: Path, size: str | None, options: dict[str, Any]) -> dict:
        """The index; chunks of an object store are going to be in a cache."""
        from litdata import StreamingDataset

        try:
            self._cache = ChunkCache(path, cache_dir, size, options) if is_remote(path) else None
            folder = str(self._cache.folder) if self._cache else path
            index = json.loads(read_small(Path(folder, "index.json"), LARGEST_INDEX))
        except UserError:
            raise
        except Exception as error:  # each object store has errors of its own
            raise UserError(
                f"'{path}' is no packed data set that can be read ({_reason(error)}): write one "
                "with ganforge pack, and name the folder that holds train and test"
            ) from error
        if not _is_index(index):
            raise UserError(f"'{path}' was not written by this ganforge pack: pack it again")
        # Else 250 neighbours are decoded for every image of a shuffled order.
        self._open_reader = partial(StreamingDataset, folder, batch_decode=0)
        return index


def _is_index(index: Any) -> bool:
    """Whether an index is one of ours.

    Its chunks lie beside it, so no name leads anywhere else; and they hold plain arrays: litdata
    would unpickle what says that it is a pickle.
    """
    try:
        facts, chunks, config = index[FACTS], index["chunks"], index["config"]
        attributes, classes = facts["attributes"], facts["classes"]
        return (
            facts["facts"]["layout"] == LAYOUT
            and all(PLAIN.fullmatch(kind) for kind in config["data_format"])
            and all(config.get(key) is None for key in ("compression", "encryption"))
            and all(CHUNK_NAME.fullmatch(chunk["filename"]) for chunk in chunks)
            and all(_is_count(c[key]) for c in chunks for key in ("chunk_size", "chunk_bytes"))
            and facts["count"] == sum(chunk["chunk_size"] for chunk in chunks)
            and isinstance(facts["sha256"], str)
            and (facts["label"] is None or facts["label"] in attributes)
            and all(isinstance(names, list) for names in (attributes or {}).values())
            and (classes is None or isinstance(classes, list))
            and {"channels", "size"} <= set(facts["facts"])
        )
    except (KeyError, TypeError, AttributeError):
        return False


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _reason(error: BaseException) -> str:
    """What an object store's client says, without the causes that it lists below."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def is_remote(path: str) -> bool:
    """Whether chunks are fetched into a cache; ``local:FOLDER`` is an object store to try with."""
    return "://" in path or path.startswith("local:")


class ChunkOrder:
    """The order of every epoch: the chunks shuffled, then the images of ``window`` chunks together.

    It depends on (seed, epoch) alone, so any part of it can be computed at any time.
    """

    def __init__(self, sizes: list[int], window: int, seed: int) -> None:
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self._sizes = np.asarray(sizes)
        self._window, self._seed = window, seed
        self._of_window = lru_cache(maxsize=2)(self._shuffled)

    def part(self, epoch: int, start: int, stop: int) -> np.ndarray:
        """Numbers of the images at positions ``start`` to ``stop`` of an epoch."""
        ends = self._window_ends(epoch)
        first, last = np.searchsorted(ends, [start, stop - 1], side="right")
        begin = 0 if first == 0 else ends[first - 1]
        drawn = np.concatenate([self._of_window(epoch, w) for w in range(first, last + 1)])
        return drawn[start - begin : stop - begin]

    def _chunks(self, epoch: int) -> list[np.ndarray]:
        order = numpy_rng(self._seed, 0, "order", epoch).permutation(len(self._sizes))
        return [order[i : i + self._window] for i in range(0, len(order), self._window)]

    def _window_ends(self, epoch: int) -> np.ndarray:
        return np.cumsum([self._sizes[chunks].sum() for chunks in self._chunks(epoch)])

    def _shuffled(self, epoch: int, window: int) -> np.ndarray:
        chunks = self._chunks(epoch)[window]
        numbers = [np.arange(self._starts[c], self._starts[c + 1]) for c in chunks]
        rng = numpy_rng(self._seed, 0, "order in a window", epoch, window)
        return rng.permutation(np.concatenate(numbers))
