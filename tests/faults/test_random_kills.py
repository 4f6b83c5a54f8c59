"""Fifty kills at random moments of short runs, each resumed, end as one uninterrupted run does."""

import os
import random
import time

import pytest
from fault_harness import FAST, SMALL, Lab, damage, outcome, slow_disk

KILLS = int(os.environ.get("GANFORGE_KILLS", "50"))
SEED = os.environ.get("GANFORGE_FAULT_SEED", "0")
STEPS = "trainer.max_steps=40"


def is_finished(folder):
    """Whether the kill before came between the run's last word and its end."""
    told = folder.with_suffix(".0.log").read_text().splitlines()[-1]
    return told.startswith(f"ganforge: {folder} is finished")


@pytest.mark.slow
@pytest.mark.parametrize("model", SMALL)
def test_fifty_random_kills(model, data, tmp_path, capsys):
    """A third of the lives has a slow disk; one death in four damages a checkpoint as well."""
    lab, rng = Lab(data, [*SMALL[model], *FAST, STEPS]), random.Random(f"{model}-{SEED}")
    assert lab.run(tmp_path / "first") == [0]  # starts the server of forks, which takes its time
    began = time.monotonic()
    assert lab.run(tmp_path / "whole") == [0]
    length = time.monotonic() - began
    whole, kills, damaged, runs = outcome(tmp_path / "whole"), 0, 0, 0
    while kills < KILLS:
        runs += 1
        folder, resume, ended = tmp_path / f"run{runs}", False, False
        while not ended:
            fault = slow_disk(0.05, rng.randrange(1000)) if rng.random() < 1 / 3 else None
            life = lab.start(folder, resume=resume, fault=fault)
            if kills < KILLS:
                time.sleep(rng.uniform(0.1, 0.8) * length)
                life.kill()
            ended = life.wait() == [0] or (resume and life.codes == [2] and is_finished(folder))
            resume = True
            if not ended:
                assert life.codes == [-9], folder.with_suffix(".0.log").read_text()[-2000:]
                kills += 1
                if rng.random() < 1 / 4 and (folder / "checkpoints" / "last.ckpt").is_file():
                    damage(folder / "checkpoints" / "last.ckpt", rng)
                    damaged += 1
        assert outcome(folder) == whole, f"run {runs} differs after {kills} kills"
    with capsys.disabled():
        print(
            f"\n{model}: {kills} kills in {runs} runs, {damaged} damaged files: all bitwise equal"
        )
