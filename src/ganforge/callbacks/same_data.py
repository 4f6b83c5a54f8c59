"""A run is trained on one set of data: what it began with is known, and other data are told."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from ganforge.utils.errors import UserError
from ganforge.utils.files import write_json
from ganforge.utils.known_data import SPLITS, Hashed, _known, difference


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
