"""What the recipes of translation promise, measured: minutes of training."""

import json
import resource
import subprocess
import sys

import pytest

from ganforge.training.fit import train
from helpers import composed, ganforge

PAPER_SIZE = """
import torch
from ganforge.trained.tiles import translate_tiled
from ganforge.networks.resnet import ResnetGenerator
from ganforge.utils.images import to_float, to_uint8

network, calls = ResnetGenerator(3, 3, 64, 9).eval(), []

def translate(piece):
    calls.append(piece)
    if len(calls) > 2:  # every further piece takes as much as these, and is freed
        return piece
    with torch.no_grad():
        return to_uint8(network(to_float(piece)))

out = translate_tiled(translate, torch.zeros(1, 3, 4096, 4096, dtype=torch.uint8), 768, 64)
assert out.shape == (1, 3, 4096, 4096)
"""


def recipe(name, tmp_path, *overrides):
    """Train a recipe as it is and return the records of its evaluation."""
    from omegaconf import OmegaConf

    run = tmp_path / "run"
    config = composed("train", [f"experiment={name}", "logger=[]", *overrides], run, tmp_path)
    config.name, config.paths.output_dir = name, str(run)
    train(config)
    (run / ".hydra").mkdir()
    OmegaConf.save(config, run / ".hydra" / "config.yaml")
    assert ganforge("evaluate", f"run={run}", "n=500") == 0
    (path,) = (run / "evaluations").glob("*.json")
    return json.loads(path.read_text())


def of(records, metric, direction):
    """The one record of a metric and direction."""
    wanted = metric, direction
    (found,) = (r for r in records if (r["metric"], r["protocol"]["direction"]) == wanted)
    return found


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_glasses_are_put_on_and_taken_off_and_nothing_else(tmp_path, seed):
    """An inversion of colours, a face left alone or one redrawn: each breaks one of the bounds."""
    records = recipe("cyclegan_avatars", tmp_path, f"seed={seed}")
    for direction in ("a_to_b", "b_to_a"):
        inside = of(records, "l1_changed", direction)
        assert inside["value"] <= inside["details"]["untouched_input"] / 3
        assert of(records, "l1_unchanged", direction)["value"] <= 0.03


@pytest.mark.slow
def test_a_large_image_fits_in_four_gigabytes():
    """The paper's generator on 4096×4096, in a process of its own."""
    subprocess.run([sys.executable, "-c", PAPER_SIZE], check=True, timeout=600)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # KiB on Linux
    assert peak * 1024 < 4e9
