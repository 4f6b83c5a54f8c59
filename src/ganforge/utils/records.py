"""``metrics.jsonl``: one JSON object a line, appended while a run goes on."""

import csv
import io
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


class GrowingTable:
    """Records as CSV, a column for every key, step and kimg first.

    New records are appended. A new column, and files that others changed, write all anew: the
    table is always what the records say.
    """

    def __init__(self, records: Path, path: Path) -> None:
        self.records, self.path = records, path
        self.forget()

    def forget(self) -> None:
        """Trust nothing that was written so far."""
        self._columns: list[str] = []
        self._read = self._written = 0

    def update(self) -> None:
        """Bring the table up to date."""
        if _size(self.path) != self._written or _size(self.records) < self._read:
            self.forget()
        lines = list(_whole_lines(self.records, self._read))
        keys = {key for _, record in lines for key in record}
        if new := keys - set(self._columns):
            lines = list(_whole_lines(self.records))
            self._columns = sorted(
                {*self._columns, *new}, key=lambda key: (key != "step", key != "kimg", key)
            )
            self._read = 0
        if not lines:
            return
        with io.StringIO(newline="") as text:
            table = csv.DictWriter(text, self._columns)
            if new:
                table.writeheader()
            table.writerows(record for _, record in lines)
            rows = text.getvalue().encode()
        if new:
            with atomic_path(self.path) as temporary:
                temporary.write_bytes(rows)
        else:
            with explained_writing(self.path), self.path.open("ab", buffering=0) as file:
                file.write(rows)
            sync_records(self.path)
        self._read += sum(len(line) for line, _ in lines)
        self._written = _size(self.path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _whole_lines(path: Path, start: int = 0) -> Iterator[tuple[bytes, dict[str, Any]]]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(start)
        content = file.read()
    for line in content.splitlines(keepends=True):
        try:
            record = json.loads(line)
        except ValueError:
            return
        if not line.endswith(b"\n") or not isinstance(record, dict) or "step" not in record:
            return
        yield line, record
