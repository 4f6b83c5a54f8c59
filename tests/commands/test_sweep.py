"""Sweeps on the command line. Most tests let a stub stand for a job's training."""

import json
import sys
from pathlib import Path

import pytest

from ganforge.sweeps import process
from helpers import ganforge

# Reads its configuration as a job does; seed 3 fails until a file "mended" lies beside the sweep.
STUB = """
import json, os, pathlib, signal, sys, yaml
folder = pathlib.Path(sys.argv[1])
config = yaml.safe_load((folder / ".hydra" / "config.yaml").read_text())
if config["seed"] == 3 and not pathlib.Path("mended").exists():
    (folder / "outcome.json").write_text(json.dumps({"error": "ValueError: three"}))
    sys.exit(1)
if config["seed"] == 4 and not pathlib.Path("mended").exists():
    os.kill(os.getpid(), signal.SIGKILL)
lr = config["model"]["optimizer_generator"]["lr"]
value = {"objective": "fid", "value": config["seed"] + abs(lr - 1e-3), "step": 7,
    "protocol": {"n_fake": config["callbacks"]["theory"]["n_samples"]}}
(folder / "outcome.json").write_text(json.dumps(value))
with open("ran", "a") as file:
    print(folder.name, file=file)
"""
SWEEP = ["experiment=gaussian1d", "logger=[]", "hydra.sweep.dir=sweeps/one"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder, with the stub for a training."""
    (tmp_path / "stub.py").write_text(STUB)
    monkeypatch.setattr(process, "JOB", (sys.executable, str(tmp_path / "stub.py")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(folder: Path) -> dict[int, dict[str, object]]:
    jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
    return {job["number"]: job for job in jobs}


def test_a_sweep_survives_and_is_resumed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lrs = "model.optimizer_generator.lr=1e-3,1e-4"
    assert ganforge("train", "-m", *SWEEP, "seed=1,3,4", lrs, "hydra.launcher.jobs=2") == 0
    jobs, text = listed(here / "sweeps/one"), capsys.readouterr().out
    states = [jobs[number]["state"] for number in range(6)]
    assert states == ["done"] * 2 + ["failed"] * 4
    assert jobs[2]["reason"] == "ValueError: three"
    assert str(jobs[4]["reason"]).startswith("killed by SIGKILL")
    assert "6 jobs: 2 done, 4 failed" in text
    assert "train resume_sweep=sweeps/one" in text
    ranking = (here / "sweeps/one/ranking.txt").read_text()
    assert ranking.index("0.001") < ranking.index("0.0001")
    assert (here / "sweeps/one/parallel.png").is_file()
    assert sorted((here / "ran").read_text().split()) == ["0", "1"]

    # What failed and what is new runs, in the order of the numbers; what is done does not.
    (here / "mended").touch()
    assert (
        ganforge("train", "resume_sweep=sweeps/one", "seed=1,3,4,5", "hydra.launcher.jobs=1") == 0
    )
    assert (here / "ran").read_text().split()[2:] == ["2", "3", "4", "5", "6", "7"]
    assert {job["state"] for job in listed(here / "sweeps/one").values()} == {"done"}
    text = capsys.readouterr().out
    assert "8 jobs: 8 done" in text
    assert "3.25 ± 1.7" in text  # seeds 1, 3, 4 and 5


def test_scores_that_cannot_be_compared_are_ranked_apart(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = "callbacks.theory.n_samples=100,200"
    assert ganforge("train", "-m", *SWEEP, "seed=1,2,3", samples) == 0
    text = capsys.readouterr().out
    assert "Not all jobs can be compared (n_fake differ): one table for each kind." in text
    assert text.count("1.5 ± 0.71") == 2  # seeds 1 and 2 at each number of samples
    ranking = (here / "sweeps/one/ranking.txt").read_text()
    assert ranking.count("Ranked by fid, less is better") == 2
    assert (here / "sweeps/one/parallel-2.png").is_file()


def test_other_launchers_give_each_job_a_process_as_well(here: Path) -> None:
    assert ganforge("train", "-m", *SWEEP, "hydra/launcher=basic", "seed=4,1") == 0
    assert (here / "ran").read_text().split() == ["1"]
    records = [json.loads((here / f"sweeps/one/{n}/job.json").read_text()) for n in (0, 1)]
    assert [record["state"] for record in records] == ["failed", "done"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-m", *SWEEP, "seed=3,4"], 2, ["all 2 jobs failed", "ValueError: three", "0/job.log"]),
        (["-m", *SWEEP, "seed=1", "sweep=nothing"], 2, ["sweep has no option 'nothing'"]),
        (["-m", *SWEEP, "seed=1", "launcher=lokal"], 2, ["lokal", "did you mean local"]),
        (["-m", *SWEEP, "seed=1", "hydra.launcher.jobs=0"], 2, ["hydra.launcher.jobs=0"]),
        (["-m", *SWEEP, "seed=1", "hydra.sweep.dir=old"], 2, ["old holds a sweep already"]),
        (["resume_sweep=empty"], 2, ["empty is not a sweep", "old"]),
        (["resume_sweep="], 2, ["resume_sweep= needs the folder"]),
        (["resume_sweep=damaged"], 3, ["damaged/sweep.json cannot be read"]),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], code: int, words: list[str], here: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for folder, text in (("old", '{"command": [], "trials": null, "jobs": []}'), ("damaged", "{")):
        (here / folder).mkdir()
        (here / folder / "sweep.json").write_text(text)
    (here / "empty").mkdir()
    if "hydra.sweep.dir=old" in arguments:
        arguments.remove("hydra.sweep.dir=sweeps/one")
    assert ganforge("train", *arguments) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("ganforge: ")
    for word in words:
        assert word in line
