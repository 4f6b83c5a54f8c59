"""Kills at random moments of short runs, each resumed, end as one uninterrupted run does."""

import os
import random
import time

import pytest
from fault_harness import FAST, MOMENTS, SMALL, Lab, damage, kill_at_the_end, outcome, slow_disk
from test_wandb_kills import WANDB, check_history

KILLS = int(os.environ.get("GANFORGE_KILLS", "51"))
SEED = os.environ.get("GANFORGE_FAULT_SEED", "0")
STEPS = "trainer.max_steps=40"
KINDS = [*SMALL, "job", "wandb"]


def is_finished(folder):
    """Whether the kill before came between the run's last word and its end."""
    told = folder.with_suffix(".0.log").read_text().splitlines()[-1]
    return told.startswith(f"ganforge: {folder} is finished")


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", KINDS)
def test_random_kills(kind, data, tmp_path, monkeypatch, capsys):
    """One life in four dies after its last checkpoint, the others at any time.

    A third of the lives has a slow disk; one death in four damages a checkpoint as well.
    """
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    overrides = [*SMALL.get(kind, SMALL["gan"]), *FAST, STEPS, *(WANDB if kind == "wandb" else [])]
    lab, rng = Lab(data, overrides, job=kind == "job"), random.Random(f"{kind}-{SEED}")
    assert lab.run(tmp_path / "first") == [0]  # starts the server of forks, which takes its time
    began = time.monotonic()
    assert lab.run(tmp_path / "whole") == [0]
    length = time.monotonic() - began
    whole, kills, late, damaged, runs = outcome(tmp_path / "whole"), 0, 0, 0, 0
    while kills < KILLS:
        runs += 1
        folder, resume, ended = tmp_path / f"run{runs}", False, False
        while not ended:
            at_the_end = kills < KILLS and rng.random() < 1 / 4
            if at_the_end:
                fault = kill_at_the_end(rng.choice(MOMENTS))
            else:
                fault = slow_disk(0.05, rng.randrange(1000)) if rng.random() < 1 / 3 else None
            life = lab.start(folder, resume=resume, fault=fault)
            if kills < KILLS and not at_the_end:
                time.sleep(rng.uniform(0.1, 0.8) * length)
                life.kill()
            ended = life.wait() == [0] or (resume and life.codes == [2] and is_finished(folder))
            resume = True
            if not ended:
                assert life.codes == [-9], folder.with_suffix(".0.log").read_text()[-2000:]
                kills, late = kills + 1, late + at_the_end
                last = folder / "checkpoints" / "last.ckpt"
                if not at_the_end and rng.random() < 1 / 4 and last.is_file():
                    damage(last, rng)
                    damaged += 1
        assert outcome(folder) == whole, f"run {runs} differs after {kills} kills"
        if kind == "wandb":
            check_history(folder)
    with capsys.disabled():
        told = f"{kills} kills ({late} after the last checkpoint) in {runs} runs"
        print(f"\n{kind}: {told}, {damaged} damaged files: all bitwise equal")
