"""The tables of docs/results.md: their rows compose, their verdicts are right, no run twice."""

import json
import math
from pathlib import Path

import pytest
from benchmarks.runs import arguments_of, config_of, run_once, spread
from benchmarks.stability_table import ROWS, has_collapsed

from benchmarks import remedies, runs, stability_table, toys_table


@pytest.mark.parametrize("row", ROWS)
def test_every_row_composes(row: str, tmp_path: Path) -> None:
    config = config_of(tmp_path, ["data=avatars", "data.size=32", *ROWS[row][1]])
    assert config.paths.output_dir == str(tmp_path)
    assert ("ema" in config.callbacks) == (row in ("ema", "recipe", "sngan", "wgan_gp", "r3gan"))


@pytest.mark.parametrize("row", ["recipe", "sngan", "wgan_gp", "r3gan"])
def test_published_rows_keep_the_rates_for_half_of_the_run(row: str, tmp_path: Path) -> None:
    """What was measured, whatever schedule the model prefers now."""
    config = config_of(tmp_path, ["data=avatars", "data.size=32", *ROWS[row][1]])
    assert config.model.schedule.decay_from == 0.5


@pytest.mark.parametrize("model", ["sngan", "wgan_gp"])
def test_residual_models_let_the_rates_fall_from_the_start(model: str, tmp_path: Path) -> None:
    config = config_of(tmp_path, [f"model={model}", "data=avatars", "data.size=32"])
    assert config.model.schedule.decay_from == 0.0


def test_the_plain_row_is_the_paper_s(tmp_path: Path) -> None:
    model = config_of(tmp_path, ROWS["plain"][1]).model
    assert model.objective.loss._target_.endswith("NonSaturating")
    assert model.objective.loss.smoothing == 0
    assert model.objective.augment._target_ == "torch.nn.Identity"
    assert model.discriminator.norm._target_ == "torch.nn.BatchNorm2d"
    assert (model.optimizer_generator.lr, model.optimizer_generator.betas[0]) == (2e-4, 0.5)
    assert "regularizers" not in model.objective
    assert model.schedule is None


@pytest.mark.parametrize(
    ("fid", "collapsed"),
    [
        ([100, 40, 30, 20], False),
        ([100, 20, 20, 29], False),
        ([100, 20, 20, 31], True),  # fell back by more than half
        ([100, 80, 70, 60], True),  # never left noise
        ([100, 20, math.nan], True),
        ([40, 35, 30], False),  # untrained it was no noise
    ],
)
def test_verdict(fid: list[float], collapsed: bool) -> None:
    assert has_collapsed(fid, noise=100) is collapsed


def write(folder: Path, seed: int, result: dict[str, object]) -> None:
    (folder / f"seed{seed}").mkdir(parents=True)
    (folder / f"seed{seed}" / "result.json").write_text(json.dumps(result))


def test_stability_report_by_hand(tmp_path: Path) -> None:
    write(tmp_path / "avatars" / "plain", 0, {"fid": [100, 20, 40], "img_s": 1000})
    write(tmp_path / "avatars" / "plain", 1, {"fid": [100, 30, 25], "img_s": 1200})
    *_, row = stability_table.report(tmp_path, "avatars", ["plain", "ema"], [0, 1, 2]).split("\n")
    assert row == "| DCGAN, plain | 22.5 (20.0, 25.0) | 32.5 (40.0, 25.0) |  |  | 1 of 2 | 1100 |"


def test_a_row_is_compared_with_the_plain_one_by_welch() -> None:
    """Logarithms differ by ln 10; standard error ln 2 × √(2/3), t(4) = 2.776: a factor of 4.81."""
    compared = stability_table.against([10, 20, 40], {"plain": [10, 20, 40], "r1": [1, 2, 4]})
    assert compared == {"r1": "0.10 (0.02–0.48) | 0.015"}
    assert stability_table.against([10.0], {"r1": [1.0]}) == {}  # one seed carries no test


def test_toys_report_by_hand(tmp_path: Path) -> None:
    write(tmp_path / "ring2d" / "hinge", 0, {"covered": 8.0, "good": 0.75})
    write(tmp_path / "ring2d" / "hinge", 1, {"covered": 7.0, "good": 0.85})
    *_, row = toys_table.report(tmp_path, ["hinge"], [0, 1]).split("\n")
    assert row == "| hinge | 8, 7 | 80% |  |  |"


@pytest.mark.parametrize("name", remedies.plans())
def test_every_training_of_the_remedies_composes(name: str, tmp_path: Path) -> None:
    assert config_of(tmp_path, remedies.plans()[name]).data.batch_size == 16


def test_remedies_report_by_hand(tmp_path: Path) -> None:
    write(tmp_path / "rates_x5" / "untreated", 0, {"fid": 50.0, "said": ["a", "b"]})
    write(tmp_path / "rates_x5" / "untreated", 1, {"fid": 60.0, "said": []})
    *_, row = remedies.report(tmp_path, [0, 1]).split("\n")
    assert row == "| learning rates × 5 | a, b; nothing | 55.0 (50.0, 60.0) |"


def test_a_finished_run_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    monkeypatch.setattr(runs, "train", lambda config: trained.append(config.seed))
    for _ in range(2):
        found = run_once(tmp_path / "run", ["seed=7"], lambda folder: {"name": folder.name})
        assert found == {"name": "run"}
    assert trained == [7]


def test_rows_and_seeds_are_chosen_by_name() -> None:
    named, rows, seeds = arguments_of(["data=x", "rows=a,b", "seeds=3"], ["a", "b", "c"])
    assert (named["data"], rows, seeds) == ("x", ["a", "b"], [3])
    assert arguments_of([], ["a"])[1:] == (["a"], [0, 1, 2])
    assert spread([1.0, 2.0]) == "1.5 (1.0, 2.0)"
