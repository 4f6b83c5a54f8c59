"""A run is trained on one set of data: what it began with is known, and other data are told."""

import json
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer

from ganforge.utils.errors import UserError
from ganforge.utils.files import write_json

SPLITS = ("train", "test")


@runtime_checkable
class Hashed(Protocol):
    """A data module that can tell what it holds; one of the user's own need not."""

    def content_hash(self, split: str) -> str:
        """Hex SHA-256 of the images of ``split``."""


class SameData(Callback):
    """Keeps the content hashes of the data in ``path``, and refuses to go on with other data."""

    def __init__(self, path: Path, may_differ: bool = False) -> None:
        self.path, self.may_differ = path, may_differ

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Compare, and keep."""
        data = trainer.datamodule
        if not (trainer.is_global_zero and isinstance(data, Hashed)):
            return
        if (told := difference(self.path, data)) and not self.may_differ:
            raise UserError(
                f"{told}: give it the data of then, or allow others with resume.allow_change=[data]"
            )
        found = {split: data.content_hash(split) for split in SPLITS}
        if found != _known(self.path):
            write_json(found, self.path)


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
