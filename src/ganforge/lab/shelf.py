"""The models that the lab can show: the runs of a folder and the one that was named."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from ganforge.api.models import Trained, load
from ganforge.trained.bundle import is_bundle
from ganforge.trained.named import ZOO, place_of, zoo
from ganforge.utils.errors import UserError
from ganforge.utils.runs import Run
from ganforge.utils.terminal import relative_path

NONE_YET = (
    "There is no trained model yet. Train one in minutes with `ganforge train "
    "experiment=quickstart`, or name one: `ganforge lab run=FOLDER`."
)


@dataclass
class Shelf:
    """Runs by name. A page names the run that it shows: no other folder can be asked for."""

    outputs: Path
    named: Path | None = None
    checkpoint: str = "best"
    device: str = "auto"
    trusted: bool = False
    _open: dict[str, tuple[tuple[int, ...], Trained]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def folders(self) -> dict[str, Path]:
        """Every model by its name: the named one, then the newest, then ready-made ones."""
        found = {} if self.named is None else {self.named.name: self.named}
        for folder in sorted(self._runs(), key=_changed, reverse=True):
            if self.named is None or folder != self.named:
                found.setdefault(folder.name, folder)
        return {**found, **{f"{ZOO}{name}": place_of(f"{ZOO}{name}") for name in zoo()}}

    def _runs(self) -> Iterator[Path]:
        """Runs and bundles of the folder, and runs one level below, where sweeps have theirs."""
        for facts in self.outputs.glob("*/config.json"):
            if not facts.parent.is_symlink():
                yield facts.parent.resolve()
        for pattern in ("*", "*/*"):
            for config in self.outputs.glob(f"{pattern}/.hydra/config.yaml"):
                folder = config.parents[1]
                if not folder.is_symlink():
                    yield folder.resolve()

    def default(self) -> str:
        """The model that is shown first; a UserError says how to get one."""
        if self.named is not None:
            return self.named.name
        able = [name for name, folder in self.folders().items() if _files(folder)]
        latest = (self.outputs / "latest").resolve().name
        if latest in able:
            return latest
        if not able:
            raise UserError(NONE_YET)
        return able[0]

    def folder(self, name: str) -> Path:
        """The folder of a run; a UserError for a name that is none, or none any more."""
        folder = self.folders().get(name)
        if folder is None:
            raise UserError(
                f"There is no run {name} in {relative_path(self.outputs)}: choose another one."
            )
        return folder

    def model(self, name: str) -> Trained:
        """A model, loaded once; again when its checkpoint has changed, as one that trains."""
        folder = self.folder(name)
        with self._lock:
            stamp = _stamp(folder)
            if self._open.get(name, (None, None))[0] != stamp:
                model = load(folder, self.checkpoint, self.device, self.trusted)
                self._open[name] = (stamp, model)
            return self._open[name][1]


def _changed(folder: Path) -> float:
    """When a run last wrote something; what is gone meanwhile is old."""
    try:
        return max(path.stat().st_mtime for path in (folder, Run(folder).checkpoints))
    except OSError:
        return 0.0


def _stamp(folder: Path) -> tuple[int, ...]:
    """Tells one state of a model from another; a UserError where the folder is gone."""
    if not folder.is_dir():
        raise UserError(f"{relative_path(folder)} is gone: it was deleted or moved meanwhile.")
    stats = [(path.stat().st_mtime_ns, path.stat().st_size) for path in _files(folder)]
    return tuple(number for pair in stats for number in pair)


def _files(folder: Path) -> list[Path]:
    """The files of a model's weights."""
    if is_bundle(folder):
        return sorted(folder.glob("*.safetensors"))
    return sorted(Run(folder).checkpoints.glob("*.ckpt"))
