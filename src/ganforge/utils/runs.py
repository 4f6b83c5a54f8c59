"""Where a run keeps what: the layout of ``outputs/<run>``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ganforge.utils.errors import UserError


@dataclass(frozen=True)
class Run:
    """The folder of one run and the places in it."""

    folder: Path

    LEFT: ClassVar[tuple[str, ...]] = (
        ".hydra", "checkpoints", "csv", "data.json", "data.png", "diagnosis.jsonl", "evaluations",
        "health.png", "metrics.jsonl", "model.safetensors", "multirun.yaml", "outcome.json",
        "report.html", "samples", "scores.json", "sweep.json", "tensorboard", "wandb",
        "wandb_id.txt",
    )  # fmt: skip
    """Names of what runs, sweeps and bundles leave: where one is, no other run may begin."""

    @property
    def config(self) -> Path:
        """What the run was composed from."""
        return self.folder / ".hydra" / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """Folder of ``last.ckpt`` and ``best.ckpt``."""
        return self.folder / "checkpoints"

    @property
    def samples(self) -> Path:
        """Folder of pictures."""
        return self.folder / "samples"

    @property
    def metrics(self) -> Path:
        """One JSON record a logging step."""
        return self.folder / "metrics.jsonl"

    @property
    def data(self) -> Path:
        """Content hashes of the data that the run is trained on."""
        return self.folder / "data.json"

    @property
    def scores(self) -> Path:
        """Every score of the run with its protocol."""
        return self.folder / "scores.json"

    @property
    def outcome(self) -> Path:
        """What the run is ranked by in a sweep, or the error that ended it."""
        return self.folder / "outcome.json"

    @property
    def page(self) -> Path:
        """The whole run on one page."""
        return self.folder / "report.html"

    @property
    def real_pictures(self) -> Path:
        """Some of the images that the run is trained on."""
        return self.folder / "data.png"

    def checkpoint(self, which: str) -> Path:
        """Path of checkpoint ``best`` or ``last``; ``best`` falls back to ``last``.

        Raises UserError when there is neither, or for another name.
        """
        if which not in ("best", "last"):
            raise UserError(f"checkpoint={which} is neither best nor last")
        for name in dict.fromkeys([which, "last", "previous"]):
            path = self.checkpoints / f"{name}.ckpt"
            if path.is_file():
                return path
        raise UserError(
            f"{self.folder} has no checkpoint '{which}.ckpt' under checkpoints/: "
            "the run ended before its first one; train again"
        )


def by_number(paths: Iterable[Path]) -> list[Path]:
    """Files in the order of the numbers in their names: step 1,000,000 comes after 999,999."""
    return sorted(paths, key=lambda path: [_part(part) for part in re.split(r"(\d+)", str(path))])


def _part(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdecimal() else (-1, text)


def find_run(folder: str | Path) -> Run:
    """Return the run in ``folder``; raises UserError when there is none, naming those nearby."""
    folder = Path(folder).expanduser()
    run = Run(folder.resolve())
    if run.config.is_file():
        return run
    parent = folder if folder.is_dir() else folder.parent
    near = [path.parents[1].name for path in by_number(parent.glob("*/.hydra/config.yaml"))]
    hint = f"; runs in {parent}: {', '.join(near[-5:])}" if near else "; train one: ganforge train"
    raise UserError(
        f"{folder} is not a run (no .hydra/config.yaml in it, nor a bundle's config.json){hint}"
    )


def link_latest(run: Run) -> None:
    """Let ``outputs/latest`` point to this run; file systems without links do without.

    A run is told by its configuration: what lies in another folder moves no link.
    """
    if not run.config.is_file():
        return
    link = run.folder.parent / "latest"
    temporary = link.with_name(f".latest-{run.folder.name}")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(run.folder.name, target_is_directory=True)
        temporary.replace(link)
    except OSError:
        temporary.unlink(missing_ok=True)
