import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ddp_program import OneHalf, Pixels, build

from ganforge.metrics.scorer import Scorer
from ganforge.metrics.scores import FID
from ganforge.metrics.sets import fake_batches, real_images

PROGRAM = Path(__file__).with_name("ddp_program.py")
MEMORY = Path(__file__).with_name("memory_program.py")
SAME_BATCH = Path(__file__).with_name("same_batch_program.py")


def train(*arguments, program=PROGRAM):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(program), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]


def score_alone(state):
    """The FID that one process gives the averaged weights of a checkpoint."""
    module = build()
    module.load_state_dict(state["state_dict"])
    for name, weights in state["callbacks"]["EMA"]["weights"].items():
        getattr(module, name).load_state_dict(weights)
    real = real_images(OneHalf(batch_size=8, batches=64, shape=(1, 32, 32)), "train", 600)
    fakes = fake_batches(module, 600, seed=0)
    return Scorer(Pixels(), real, None, [FID()]).score(fakes)[0].value


def test_what_each_rank_remembers_survives(tmp_path):
    """LeCam's anchors, ADA's sums and batch statistics of both ranks, as if never interrupted."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    train(whole, 5, program=MEMORY)
    train(parts, 3, program=MEMORY)
    train(parts, 5, parts / "last.ckpt", program=MEMORY)
    states = []
    for rank in (0, 1):
        never, resumed = (
            torch.load(folder / f"state{rank}.pt", weights_only=True) for folder in (whole, parts)
        )
        assert never.keys() == resumed.keys()
        for name, value in never.items():
            same = torch.equal(value, resumed[name]) if torch.is_tensor(value) else True
            assert same, (rank, name)
        states.append(never)
    for name in ("objective.memories.lecam.anchors", "generator.layers.1.running_mean"):
        assert not torch.equal(states[0][name], states[1][name]), name


@pytest.mark.slow
def test_two_processes(tmp_path):
    """Weights and scores agree on both ranks, noise does not, neither before nor after a resume."""
    train(tmp_path, 4)
    train(tmp_path, 6, tmp_path / "last.ckpt")
    first, resumed = (
        [json.loads((tmp_path / f"rank{rank}_{steps}.json").read_text()) for rank in (0, 1)]
        for steps in (4, 6)
    )
    for a, b in (first, resumed):
        for name in ("weights", "moved", "images_seen", "best", "scores", "own"):
            assert a[name] == b[name], name
        assert a["noise"] != b["noise"]
    for before, after in zip(first, resumed, strict=True):
        assert after["noise"] == before["next_noise"]
        assert after["moved"] != before["moved"]
        # Eight images a step and rank, two ranks.
        assert (before["images_seen"], after["images_seen"]) == (4 * 16, 6 * 16)
        assert len(after["scores"]) == 1 + 6
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert state["global_step"] == 6
    assert len(state["ganforge"]["ranks"]) == 2
    assert not list(tmp_path.glob(".*"))
    # 600 images come in three batches: the second is made by the second process.
    assert resumed[0]["own"][-1] == pytest.approx(score_alone(state), rel=1e-6)


def test_two_ranks_of_32_are_one_of_64(tmp_path):
    """Losses of 20 steps, with shared batch norm and the same noise; nothing is seen twice."""
    train(tmp_path, 1, program=SAME_BATCH)
    train(tmp_path, 2, program=SAME_BATCH)
    one = json.loads((tmp_path / "1_0.json").read_text())
    two = [json.loads((tmp_path / f"2_{rank}.json").read_text()) for rank in (0, 1)]
    assert two[0]["average"] == two[1]["average"]
    losses = [torch.tensor(seen["losses"], dtype=torch.float64) for seen in (one, *two)]
    assert losses[0].shape == (20, 2)
    torch.testing.assert_close((losses[1] + losses[2]) / 2, losses[0], rtol=1e-4, atol=0)
    assert (losses[1] - losses[2]).abs().max() > 1e-4  # each rank's own half
    for whole, *halves in zip(one["shown"], two[0]["shown"], two[1]["shown"], strict=True):
        assert sorted(halves[0] + halves[1]) == sorted(whole)
    epoch = one["shown"][:4]  # 256 images
    assert len({index for batch in epoch for index in batch}) == 256
