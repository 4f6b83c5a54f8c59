"""Whether data are those that a run was trained on, by their content hashes."""

import json
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

SPLITS = ("train", "test")


@runtime_checkable
class Hashed(Protocol):
    """A data module that can tell what it holds; one of the user's own need not."""

    def content_hash(self, split: str) -> str:
        """Hex SHA-256 of the images of ``split``."""


def difference(path: Path, data: Any) -> str | None:
    """A sentence where the data of now are not those whose hashes a run keeps in ``path``."""
    known = _known(path)
    if not (known and isinstance(data, Hashed)):
        return None
    changed = [split for split in SPLITS if known.get(split) != data.content_hash(split)]
    if not changed:
        return None
    told = ", ".join(
        f"{split}: {str(known.get(split))[:8]} → {data.content_hash(split)[:8]}"
        for split in changed
    )
    return f"the data are not those that {path.parent} was trained on ({told})"


def _known(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
