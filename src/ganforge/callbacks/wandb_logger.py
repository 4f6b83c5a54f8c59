"""Weights & Biases: one run a training, on axes of steps and kimg, without a prompt."""

import math
import os
import shlex
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import requests
import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from ganforge.callbacks.wandb_rows import rows
from ganforge.utils.files import atomic_path
from ganforge.utils.records import read_records
from ganforge.utils.terminal import relative_path

COUNTERS = {"step", "kimg", "epoch"}
ANSWER_SECONDS, INIT_SECONDS, FINISH_SECONDS = 5.0, 30.0, 300.0
"""How long a server may take to say anything, to begin a run, and to take the rest of it."""
# Which value of a curve the table of runs shows, where the last one says little.
SUMMARIES = {"scores/fid*": "min", "scores/kid*": "min", "scores/is*": "max"}


class GanWandbLogger(WandbLogger):
    """Lightning's, with the generator's steps as the axis of everything and kimg beside it.

    Online where a key is found and the server answers, offline otherwise or by ``WANDB_MODE``. The
    run's id stays in ``save_dir``: a training that is resumed goes on in the same W&B run.

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
        folder = Path(save_dir)
        folder.mkdir(parents=True, exist_ok=True)
        mode = os.environ.get("WANDB_MODE")
        if mode is None:
            mode = "online" if wandb.login(prompt=False, verify=False) else "offline"
            if mode == "online" and rank_zero_only.rank == 0 and not _answers():
                mode = "offline"
                _tell_offline(f"{wandb.setup().settings.base_url} does not answer", folder)
        self.folder, self.artifact = folder, artifact
        self._known: dict[tuple[Any, str], Any] = {}
        self._behind: list[dict[str, Any]] = []
        self._next: int | None = None
        super().__init__(
            project=project,
            name=name[:128],
            save_dir=str(folder),
            group=group,
            mode=mode,  # to W&B itself: Lightning's ``offline`` speaks after the key was looked for
            # Under ``wandb agent`` W&B chooses the id.
            id=os.environ.get("WANDB_RUN_ID") or _kept_id(folder / "wandb_id.txt"),
            resume="allow",
            settings=wandb.Settings(init_timeout=INIT_SECONDS, finish_timeout=FINISH_SECONDS),
        )

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run; begun, with its axes, at the first use."""
        begun = self._experiment is not None
        try:
            run = super().experiment
        except wandb.errors.Error as error:  # as of a key that the server does not know
            if self._wandb_init["mode"] == "offline":
                raise
            self._wandb_init["mode"] = "offline"
            _tell_offline(str(error), self.folder)
            wandb.teardown()  # its service holds the id of the run that did not begin
            run = super().experiment
        if not begun:
            run.define_metric("step")
            run.define_metric("kimg", step_metric="step")
            run.define_metric("*", step_metric="step")
            for keys, summary in SUMMARIES.items():
                run.define_metric(keys, step_metric="step", summary=summary)
            self._catch_up()
        return run

    @rank_zero_only
    def go_on_from(self, step: int) -> None:
        """Note what the run's earlier parts hold, before a further one is begun."""
        for row in rows(self.folder / "wandb", str(self._id)):
            self._next = max(self._next or 0, row.get("_step", -1) + 1)
            self._known |= {(row.get("step"), key): value for key, value in row.items()}
        records = read_records(self.folder / "metrics.jsonl")
        self._behind = [record for record in records if record["step"] <= step]

    def _catch_up(self) -> None:
        """Log what ``metrics.jsonl`` has and a kill took from the earlier parts."""
        behind, self._behind = self._behind, []
        for record in behind:
            values = {k: math.nan if value is None else value for k, value in record.items()}
            self.log_metrics(values, record["step"])

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log under the number of the generator's step, as all other loggers do, and once.

        A resumed training takes steps again: what W&B has of them stays.
        """
        run = self.experiment
        if self._known:
            metrics = {key: v for key, v in metrics.items() if not self._has(key, v, step)}
            if not set(metrics) - COUNTERS:
                return
        counters = {} if step is None else {"step": step}
        first, self._next = self._next, None
        run.log({**metrics, **counters}, step=first, commit=True)

    @rank_zero_only
    def alert(self, title: str, text: str) -> None:
        """Call the run's owner, as W&B's settings say: by mail or in a chat."""
        self.experiment.alert(title=title, text=text)

    def _has(self, key: str, value: Any, step: int | None) -> bool:
        """Whether an earlier part holds this; pictures and times stay those of then."""
        if key in COUNTERS or (step, key) not in self._known:
            return False
        known = self._known[step, key]
        if isinstance(known, dict) or key.startswith("speed/"):
            return True
        return known == value or (known != known and value != value)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Upload the chosen checkpoint of a training that ended well."""
        path = self.folder / "checkpoints" / f"{self.artifact}.ckpt"
        if status != "success" or self._experiment is None or not path.is_file():
            return
        artifact = wandb.Artifact(f"checkpoint-{self.experiment.id}", type="model")
        artifact.add_file(str(path))
        self.experiment.log_artifact(artifact, aliases=[str(self.artifact)])


def _answers() -> bool:
    """Whether W&B's server says anything, by the proxy that the environment names."""
    heard = []

    def ask() -> None:
        try:
            heard.append(requests.get(wandb.setup().settings.base_url, timeout=ANSWER_SECONDS))
        except requests.RequestException:
            return

    thread = Thread(target=ask, daemon=True)  # a look-up of the name has no time limit of its own
    thread.start()
    thread.join(ANSWER_SECONDS)
    return bool(heard)


def _tell_offline(reason: str, folder: Path) -> None:
    reason = " ".join(reason.split())[:200]
    print(
        f"ganforge: W&B is offline ({reason}); later: "
        f"wandb sync {shlex.quote(relative_path(folder))}/wandb/offline-run-*",
        file=sys.stderr,
    )


def _kept_id(path: Path) -> str:
    """The id that the run was given when it began; only the first process talks to W&B."""
    if path.is_file() and (kept := path.read_text(encoding="utf-8").strip()):
        return kept
    new = uuid.uuid4().hex[:8]
    if rank_zero_only.rank == 0:
        with atomic_path(path) as temporary:
            temporary.write_text(new + "\n", encoding="utf-8")
    return new
