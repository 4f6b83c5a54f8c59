"""What metrics.jsonl has, a W&B run that was killed has after a resume: once, on one axis."""

import math
import os
import signal
from functools import partial

import pytest
from fault_harness import Lab, kill_at_the_end, outcome, overrides_of

from ganforge.models.base import AdversarialModule
from ganforge.utils.records import read_records
from wandb_files import runs_in

pytest.importorskip("wandb")
WANDB = ["logger=[csv,wandb]", "callbacks.latent_walk.frames=1", "trainer.log_every_n_steps=1"]
COUNTERS = {"step", "kimg", "epoch"}


def kill_all_in_step(step):
    return partial(_kill_all, step)


def _kill_all(step):
    update = AdversarialModule.update

    def watched(module, player, *args):
        if player == "generator" and module.trainer.global_step + 1 == step:
            os.killpg(os.getpid(), signal.SIGKILL)
        return update(module, player, *args)

    AdversarialModule.update = watched


def check_history(folder):
    """All values of metrics.jsonl are there once, and no two rows have the same ``_step``."""
    parts = runs_in(folder, ended=1)
    told = [row for part in parts for row in part.history]
    for record in read_records(folder / "metrics.jsonl"):
        for key in record.keys() - COUNTERS:
            held = [row[key] for row in told if row.get("step") == record["step"] and key in row]
            expected = math.nan if record[key] is None else record[key]
            assert held == [pytest.approx(expected, nan_ok=True)], (record["step"], key)
    steps = [row["_step"] for row in told]
    assert steps == list(range(len(steps)))
    assert len({part.id for part in parts if part.id}) == 1
    return parts


@pytest.mark.parametrize("fault", [kill_all_in_step(10), kill_at_the_end("gif")])
def test_a_killed_wandb_run_is_whole_after_a_resume(fault, data, whole, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder, lab = tmp_path / "run", Lab(data, [*overrides_of("gan"), *WANDB])
    assert lab.run(folder, fault=fault) == [-signal.SIGKILL]
    assert lab.run(folder, resume=True) == [0], folder.with_suffix(".0.log").read_text()[-2000:]
    parts = check_history(folder)
    assert parts[-1].exit_code == 0
    assert outcome(folder).keys() >= {"outcome.json", "metrics.jsonl"}
