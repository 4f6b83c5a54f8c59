import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


def draw(folder, count, seed):
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for index in range(count):
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03d}.png")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(folder, output, **environment):
    command = [sys.executable, "-m", "ganforge", "evaluate", "fake=fake", "real=real"]
    command += ["features=cnn", "features.weights=avatars", "device=cpu", f"output={output}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [*command, f"paths.data_dir={folder}/{output}.data"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow  # three programs start
@pytest.mark.timeout(600)
def test_two_processes_give_one_s_scores_and_count_nobody_twice(tmp_path):
    """An odd number of batches of odd lengths, so that one process has more than the other."""
    draw(tmp_path / "real", 150, 0)
    draw(tmp_path / "fake", 161, 1)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    ranks = [start(tmp_path, "two.json", RANK=rank, **address) for rank in "01"]
    alone = start(tmp_path, "one.json")
    said = [process.communicate(timeout=500) for process in (*ranks, alone)]
    assert [process.returncode for process in (*ranks, alone)] == [0, 0, 0], said
    assert "written to" in said[0][0]
    assert "written to" not in said[1][0]
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert len(one) == len(two) >= 8
    for a, b in zip(one, two, strict=True):
        assert a["protocol"] == b["protocol"]
        assert b["protocol"]["n_fake"] == 161
        assert b["value"] == pytest.approx(a["value"], rel=1e-6, abs=1e-9)
        assert b["interval"] == pytest.approx(a["interval"], rel=1e-6, abs=1e-9)
