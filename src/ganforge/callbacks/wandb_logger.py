"""Weights & Biases: one run a training, on axes of steps and kimg, without a prompt."""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from ganforge.utils.files import atomic_path

# Which value of a curve the table of runs shows, where the last one says little.
SUMMARIES = {"scores/fid*": "min", "scores/kid*": "min", "scores/is*": "max"}


class GanWandbLogger(WandbLogger):
    """Lightning's, with the generator's steps as the axis of everything and kimg beside it.

    Online where a key is found, offline otherwise or by ``WANDB_MODE``. The run's id stays in
    ``save_dir``: a training that is resumed goes on in the same W&B run.

    Args:
        project: W&B project.
        name: what the run is called there.
        save_dir: folder of the run.
        group: runs that belong together, such as the jobs of a sweep.
        artifact: ``best`` or ``last``: upload that checkpoint when training ends; None: none.

    """

    def __init__(
        self,
        project: str,
        name: str,
        save_dir: str | Path,
        group: str | None = None,
        artifact: str | None = None,
    ) -> None:
        if artifact not in (None, "best", "last"):
            raise ValueError(f"artifact must be best, last or null, not {artifact!r}")
        mode = os.environ.get("WANDB_MODE")
        if mode is None:
            mode = "online" if wandb.login(prompt=False, verify=False) else "offline"
        folder = Path(save_dir)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.artifact = folder, artifact
        super().__init__(
            project=project,
            name=name[:128],
            save_dir=str(folder),
            group=group,
            mode=mode,  # to W&B itself: Lightning's ``offline`` speaks after the key was looked for
            # Under ``wandb agent`` W&B chooses the id.
            id=os.environ.get("WANDB_RUN_ID") or _kept_id(folder / "wandb_id.txt"),
            resume="allow",
        )

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run; begun, with its axes, at the first use."""
        begun = self._experiment is not None
        run = super().experiment
        if not begun:
            run.define_metric("step")
            run.define_metric("kimg", step_metric="step")
            run.define_metric("*", step_metric="step")
            for keys, summary in SUMMARIES.items():
                run.define_metric(keys, step_metric="step", summary=summary)
        return run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log under the number of the generator's step, as all other loggers do."""
        counters = {} if step is None else {"step": step}
        self.experiment.log({**metrics, **counters})

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Upload the chosen checkpoint of a training that ended well."""
        path = self.folder / "checkpoints" / f"{self.artifact}.ckpt"
        if status != "success" or self._experiment is None or not path.is_file():
            return
        artifact = wandb.Artifact(f"checkpoint-{self.experiment.id}", type="model")
        artifact.add_file(str(path))
        self.experiment.log_artifact(artifact, aliases=[str(self.artifact)])


def _kept_id(path: Path) -> str:
    """The id that the run was given when it began; only the first process talks to W&B."""
    if path.is_file() and (kept := path.read_text(encoding="utf-8").strip()):
        return kept
    new = uuid.uuid4().hex[:8]
    if rank_zero_only.rank == 0:
        with atomic_path(path) as temporary:
            temporary.write_text(new + "\n", encoding="utf-8")
    return new
