"""``metrics.jsonl``: one JSON object a line, appended while a run goes on."""

import csv
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ganforge.utils.files import atomic_path, explained_writing, finite


def append_record(record: Mapping[str, Any], path: Path) -> None:
    """Add one line in one write; values that JSON has no number for become null."""
    line = json.dumps(finite(dict(record)), allow_nan=False) + "\n"
    with explained_writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.write(line.encode())


def sync_records(path: Path) -> None:
    """Put what was appended on the disk."""
    if path.is_file():
        with explained_writing(path), path.open("rb") as file:
            os.fsync(file.fileno())


def read_records(path: Path) -> list[dict[str, Any]]:
    """All whole records of a file; a line that a kill tore, and what follows it, is left out."""
    return [record for _, record in _whole_lines(path)]


def cut_records(path: Path, step: int) -> None:
    """Keep the records up to ``step``, byte for byte, and drop what came later or was torn."""
    if not path.is_file():
        return
    kept = [line for line, record in _whole_lines(path) if record["step"] <= step]
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"".join(kept))


def write_table(records: list[dict[str, Any]], path: Path) -> None:
    """Write records as CSV, atomically: a column for every key, step and kimg first."""
    keys = {key for record in records for key in record}
    columns = sorted(keys, key=lambda key: (key != "step", key != "kimg", key))
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(records)


def _whole_lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    if not path.is_file():
        return
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            record = json.loads(line)
        except ValueError:
            return
        if not line.endswith(b"\n") or not isinstance(record, dict) or "step" not in record:
            return
        yield line, record
