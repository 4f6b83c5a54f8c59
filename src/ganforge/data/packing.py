"""Writing a data set as an indexed stream: chunks of raw images, in litdata's format."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ganforge.data.source import SPLITS, Chunk, Source
from ganforge.utils.errors import UserError
from ganforge.utils.files import write_json

LAYOUT = 2  # raise it when the facts or the samples change their meaning
FACTS = "ganforge"
"""Key of a split's index.json that holds what litdata has no place for."""


def need_litdata() -> None:
    """Raise UserError where the optional library is missing."""
    try:
        import litdata  # noqa: F401
    except ImportError as error:
        raise UserError(
            "packed data sets need litdata: pip install 'ganforge[streaming]'"
        ) from error


def pack(source: Source, size: int, channels: int, folder: Path, chunk_mb: int) -> dict[str, int]:
    """Write both splits below ``folder``; returns the number of images of each.

    Memory stays at one chunk, whatever the size of the set.
    """
    need_litdata()
    source.check(size, channels)
    key = {"layout": LAYOUT, "size": size, "channels": channels, **source.key()}
    written = {
        split: _write(source, split, size, channels, folder / split, chunk_mb) for split in SPLITS
    }
    names = asdict(source.names())
    for split, (count, digest) in written.items():
        facts = {"count": count, "sha256": digest, "facts": key, "label": source.label, **names}
        path = folder / split / "index.json"
        write_json({**json.loads(path.read_text(encoding="utf-8")), FACTS: facts}, path)
    return {split: count for split, (count, _) in written.items()}


def _write(
    source: Source, split: str, size: int, channels: int, folder: Path, chunk_mb: int
) -> tuple[int, str]:
    from litdata.streaming.writer import BinaryWriter

    folder.mkdir(parents=True)
    writer = BinaryWriter(str(folder), chunk_bytes=chunk_mb << 20)
    digest = hashlib.sha256(f"{np.dtype(np.uint8).str}{(channels, size, size)}".encode())
    count = 0
    for chunk in source.chunks(split, size, channels):
        digest.update(np.ascontiguousarray(chunk.images).data)
        for sample in _samples(chunk):
            writer[count] = sample
            count += 1
    if not count:
        raise UserError(f"The split '{split}' of this data set has no images.")
    writer.done()
    writer.merge(1)
    return count, digest.hexdigest()


def _samples(chunk: Chunk) -> Iterator[dict[str, Any]]:
    columns = {"image": chunk.images, "label": chunk.labels, "attributes": chunk.attributes}
    # At least one dimension: litdata pickles a single number, and who unpickles it may execute.
    present = {key: column for key, column in columns.items() if column is not None}
    for row in range(len(chunk.images)):
        yield {key: np.atleast_1d(column[row]) for key, column in present.items()}
