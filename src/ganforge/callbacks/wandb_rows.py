"""What a W&B run holds on this disk: LevelDB's log format, whose records are W&B's own messages.

wandb has no reader in Python any more. A kill loses what its process had not written yet, and may
cut the last record.
"""

import json
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7
FULL, LAST = 1, 4
STILL = 1.0
"""Seconds after which a file that did not change is complete: W&B may outlive the training."""
PATIENCE = 20.0


def rows(folder: Path, run_id: str) -> Iterator[dict[str, Any]]:
    """All rows of the history that earlier parts of a run hold below ``folder``, in order."""
    for path in sorted(folder.glob(f"*run-*-{run_id}/*.wandb")):
        yield from _rows_of(path)


def _rows_of(path: Path) -> Iterator[dict[str, Any]]:
    from wandb.proto.wandb_internal_pb2 import Record

    for content in _contents(_settled(path)):
        record = Record()
        record.ParseFromString(content)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            row = {"/".join(item.nested_key) or item.key: item.value_json for item in items}
            yield {key: json.loads(value) for key, value in row.items()}


def _settled(path: Path) -> bytes:
    until = time.time() + PATIENCE
    while time.time() - path.stat().st_mtime < STILL and time.time() < until:
        time.sleep(0.1)
    return path.read_bytes()


def _contents(data: bytes) -> Iterator[bytes]:
    """The records of a file; what follows a damaged or cut one is left out."""
    at, parts = HEADER, []
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # the rest of a block is padding
            at += BLOCK - at % BLOCK
            continue
        checksum, length, kind = struct.unpack_from("<IHB", data, at)
        content = data[at + HEADER : at + HEADER + length]
        if len(content) < length or checksum != zlib.crc32(content, zlib.crc32(bytes([kind]))):
            return
        at += HEADER + length
        parts.append(content)
        if kind in (FULL, LAST):
            yield b"".join(parts)
            parts = []
