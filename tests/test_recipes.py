"""What the recipes promise, over three seeds each."""

import json
from pathlib import Path

import pytest

from ganforge.training.fit import train
from helpers import composed

pytestmark = pytest.mark.slow


def final_readings(output: Path) -> dict[str, float]:
    """The last theory readings of a run."""
    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if any(key.startswith("theory/") for key in record)][-1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gaussian_ends_in_balance(seed: int, tmp_path: Path) -> None:
    recipe = ["experiment=gaussian1d", f"seed={seed}", "logger=[]"]
    train(composed("train", recipe, tmp_path / "run", tmp_path))
    readings = final_readings(tmp_path / "run")
    assert readings["theory/wasserstein1"] <= 0.05
    assert readings["theory/|D(x) - 0.5|"] <= 0.02
    assert readings["theory/|D(G(z)) - 0.5|"] <= 0.02


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ring_is_covered(seed: int, tmp_path: Path) -> None:
    recipe = ["experiment=ring2d", f"seed={seed}", "logger=[]"]
    train(composed("train", recipe, tmp_path / "run", tmp_path))
    readings = final_readings(tmp_path / "run")
    assert readings["theory/modes_covered"] >= 7
    assert readings["theory/good_share"] >= 0.80


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_quickstart_learns_and_does_not_collapse(seed: int, tmp_path: Path) -> None:
    recipe = ["experiment=quickstart", f"seed={seed}", "logger=[]"]
    train(composed("train", recipe, tmp_path / "run", tmp_path))
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    fid = [score["value"] for score in scores if score["metric"] == "fid"]
    assert fid[-1] <= fid[0] / 5
    assert fid[-1] <= 1.1 * min(fid)
