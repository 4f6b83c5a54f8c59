"""Reads what W&B wrote offline: LevelDB's log format, whose records are W&B's own messages.

wandb's own reader in Python (``wandb.sdk.internal.datastore``) is gone from wandb 0.31, whose files
only a compiled program reads; that of 0.22 reads the same records from these files as this one.
"""

import json
import struct
import time
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def chunks(data: bytes):
    """The records of a file; a last one that was cut off by a kill is left out."""
    assert data[:4] == b":W&B"
    at, parts = HEADER, []
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # the rest of a block is padding
            at += BLOCK - at % BLOCK
            continue
        checksum, length, kind = struct.unpack_from("<IHB", data, at)
        content = data[at + HEADER : at + HEADER + length]
        if len(content) < length:
            return
        assert checksum == zlib.crc32(content, zlib.crc32(bytes([kind])))
        at += HEADER + length
        parts.append(content)
        if kind in (FULL, LAST):
            yield b"".join(parts)
            parts = []


@dataclass
class OfflineRun:
    """What one offline run holds."""

    folder: Path
    id: str = ""
    group: str = ""
    name: str = ""
    project: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    axes: dict[str, str] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    exit_code: int | None = None

    def counts(self) -> dict[str, int]:
        """How often each key was logged."""
        found: dict[str, int] = defaultdict(int)
        for row in self.history:
            for key in row:
                found[key] += 1
        return dict(found)


def read_run(folder: Path) -> OfflineRun:
    """Read ``offline-run-*``; every medium that it names must be there."""
    from wandb.proto import wandb_internal_pb2

    (file,) = folder.glob("*.wandb")
    run = OfflineRun(folder)
    for chunk in chunks(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(chunk)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.id, run.group = record.run.run_id, record.run.run_group
            run.name, run.project = record.run.display_name, record.run.project
            run.config |= {u.key: json.loads(u.value_json) for u in record.run.config.update}
        elif kind == "config":
            run.config |= {u.key: json.loads(u.value_json) for u in record.config.update}
        elif kind == "alert":
            run.alerts.append(record.alert.title)
        elif kind == "history":
            run.history.append(_row(record.history))
        elif kind == "metric":
            run.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "request" and record.request.HasField("log_artifact"):
            run.artifacts.append(record.request.log_artifact.artifact.name)
        elif kind == "artifact":
            run.artifacts.append(record.artifact.name)
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _row(history) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for item in history.item:
        *path, last = item.nested_key or [item.key]
        node = row
        for part in path:
            node = node.setdefault(part, {})
        node[last] = json.loads(item.value_json)
    return row


def media(run: OfflineRun, key: str) -> list[Path]:
    """The files that a key of the history shows."""
    files = []
    for row in run.history:
        value = row.get(key)
        if isinstance(value, dict):
            files += value.get("filenames", [film["path"] for film in value.get("videos", [])])
    return [run.folder / "files" / name for name in files]


def runs_in(folder: Path, ended: int, patience: float = 60.0) -> list[OfflineRun]:
    """All offline runs below a folder, in order, once ``ended`` of them have an exit code.

    W&B writes from a process of its own, which may come after the one that trained; a kill before
    it began leaves a folder with nothing in it to be read.
    """
    limit = time.monotonic() + patience
    while True:
        folders = sorted({path.parent for path in folder.rglob("offline-run-*/*.wandb")})
        runs = [read_run(path) for path in folders]
        if sum(run.exit_code is not None for run in runs) >= ended or time.monotonic() > limit:
            return runs
        time.sleep(0.1)
