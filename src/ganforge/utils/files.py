"""Writing files so that a reader never sees half of one."""

import errno
import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganforge.utils.errors import UserError

PARTIAL = ".partial-"
"""How the name of a file begins that is still being written."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of a disk that takes nothing more."""


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary sibling of ``path`` that replaces it when the block ends without an error.

    The temporary name keeps the suffix, because many writers choose the format by it. A full disk
    is a UserError, and leaves ``path`` as it was.
    """
    path = Path(path)
    temporary = path.with_name(f"{PARTIAL}{uuid.uuid4().hex[:8]}-{path.name}")
    with explained_writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            publish(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Let a finished file take the place of ``path``, and be there after a loss of power, too."""
    _sync(temporary)
    temporary.replace(path)
    if os.name == "posix":  # a rename is on the disk when its folder is
        _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explained_writing(path: Path | str) -> Iterator[None]:
    """Turn a disk that is full, over its quota or read-only into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"{path} cannot be written ({os.strerror(error.errno)}): free some space there; what "
            "was complete before is intact, and `ganforge train resume=FOLDER` goes on with a run"
        ) from error


def remove_partials(folder: Path) -> None:
    """Delete what a killed process was writing in ``folder`` and below; no one else may write."""
    for leftover in list(folder.rglob(f"{PARTIAL}*")):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def write_json(data: Any, path: Path | str) -> None:
    """Write ``data`` as indented JSON, atomically; numbers that JSON has not become null."""
    with atomic_path(path) as temporary:
        text = json.dumps(finite(data), indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def finite(data: Any) -> Any:
    """The same lists, dicts and values with None in the place of NaN and infinities."""
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def read_small(path: Path, most: int = 1 << 20) -> str:
    """The text of a file that others may have written; ValueError where it is none or too long.

    A pipe or a device would wait for ever, or never end.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it has more than {most} bytes")
    return data.decode("utf-8")


def file_sha256(path: Path | str) -> str:
    """Hex SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
