import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

PROGRAM = Path(__file__).with_name("ddp_program.py")


def train(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]


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
        for name in ("weights", "moved", "images_seen", "best", "scores"):
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
