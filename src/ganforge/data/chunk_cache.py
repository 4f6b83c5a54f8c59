"""Chunks of an object store on this disk: fetched once, the longest unused leave first."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Container
from pathlib import Path
from typing import Any

from filelock import FileLock

from ganforge.utils.errors import UserError

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
FREE = 0.75  # share of the free disk that is taken where no size is given


class ChunkCache:
    """One split's index and those of its chunks that were needed.

    litdata keeps a cache of its own, by a thread for each reader; readers that share a folder, as
    here, find chunks gone that another's thread removed. So this one only uses its clients.

    Args:
        remote: URL of the split.
        folder: below it the split gets a folder that is named by its place and content.
        size: such as ``200GB``; None: three quarters of what is free.
        options: what the object store's client takes.

    """

    def __init__(
        self, remote: str, folder: Path, size: str | None, options: dict[str, Any]
    ) -> None:
        from litdata.streaming.downloader import get_downloader

        self._remote = remote
        folder.mkdir(parents=True, exist_ok=True)
        self._client = get_downloader(
            remote, str(folder), [], storage_options=_client_options(remote, options)
        )
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            index = Path(temporary, "index.json")
            self._client.download_file(f"{remote}/index.json", str(index))
            digest = hashlib.sha256(remote.encode() + index.read_bytes()).hexdigest()
            self.folder = folder / digest[:32]
            self.folder.mkdir(exist_ok=True)
            os.replace(index, self.folder / "index.json")
        self._limit = _bytes(size) if size is not None else self._free()

    def fetch(self, name: str, size: int, keep: Container[str]) -> None:
        """Have the chunk ``name`` of ``size`` bytes here; those in ``keep`` are not removed."""
        path = self.folder / name
        with FileLock(f"{path}.fetch"):  # another process may want it, too
            if path.exists():
                os.utime(path)  # used now
                return
            self._make_room(size, keep)
            self._client.download_file(f"{self._remote}/{name}", str(path))

    def _make_room(self, size: int, keep: Container[str]) -> None:
        found = [(path.stat(), path) for path in self.folder.glob("*.bin")]
        taken = sum(stat.st_size for stat, _ in found)
        for stat, path in sorted(found, key=lambda each: each[0].st_mtime_ns):
            if taken + size <= self._limit:
                return
            if path.name not in keep:
                path.unlink(missing_ok=True)
                taken -= stat.st_size

    def _free(self) -> int:
        here = sum(path.stat().st_size for path in self.folder.glob("*.bin"))
        return int(FREE * (shutil.disk_usage(self.folder).free + here))


def _bytes(size: str) -> int:
    """``200GB`` as a number."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]B)\s*", str(size), re.IGNORECASE)
    if not match:
        raise UserError(f"data.cache_size={size} must be a size such as 500MB, 200GB or 2TB")
    return int(float(match[1]) * UNITS[match[2].upper()])


def _client_options(remote: str, options: dict[str, Any]) -> dict[str, Any]:
    """What litdata's S3 client is made with: left to itself it tries a thousand times.

    Chunks are fetched by that client, too. The second one that litdata has for them knows nothing
    of these options and refuses the http:// of a server of one's own.
    """
    if not remote.startswith("s3://"):
        return options
    from botocore.config import Config
    from litdata.streaming import downloader

    downloader.obstore_usable = lambda: False
    retries = {"max_attempts": 5, "mode": "standard"}
    return {"config": Config(connect_timeout=10, read_timeout=60, retries=retries), **options}
