"""Sweeps by Optuna; a stub stands for a job's training."""

import json
import sys
from pathlib import Path

import pytest

from ganforge.sweeps import process
from helpers import composed, ganforge, options

optuna = pytest.importorskip("optuna")
pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")

# The second and the third job end badly, until the file "mended" is there.
STUB = """
import json, os, pathlib, signal, sys, yaml
folder = pathlib.Path(sys.argv[1])
config = yaml.safe_load((folder / ".hydra" / "config.yaml").read_text())
if not pathlib.Path("mended").exists():
    if folder.name == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    if folder.name == "2":
        (folder / "outcome.json").write_text(json.dumps({"error": "ValueError: three"}))
        sys.exit(1)
value = {"objective": "w1", "value": config["model"]["latent_dim"] / 10, "step": 7}
(folder / "outcome.json").write_text(json.dumps(value))
"""
SWEEP = ["sweep=optuna_gaussian1d", "hydra.sweep.dir=one", "logger=[]"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stub.py").write_text(STUB)
    monkeypatch.setattr(process, "JOB", (sys.executable, str(tmp_path / "stub.py")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def jobs(here: Path) -> list[dict]:
    return json.loads((here / "one/sweep.json").read_text())["jobs"]


def test_failed_trials_are_run_again_and_the_rest_of_the_budget(here: Path) -> None:
    assert ganforge("train", *SWEEP, "hydra.sweeper.n_trials=4") == 0
    first = jobs(here)
    assert [job["state"] for job in first] == ["done", "failed", "failed", "done"]
    (here / "mended").touch()
    assert ganforge("train", "resume_sweep=one", "hydra.sweeper.n_trials=5") == 0
    second = jobs(here)
    assert [job["state"] for job in second] == ["done"] * 5
    assert [job["overrides"] for job in second[:4]] == [job["overrides"] for job in first]
    study = optuna.load_study("sweep", f"sqlite:///{here}/one/study.db")
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "FAIL", "FAIL", "COMPLETE", *["COMPLETE"] * 3]
    complete = [trial.params for trial in study.trials if trial.state.name == "COMPLETE"]
    assert len(complete) == 5
    # There is nothing left to run.
    assert ganforge("train", "resume_sweep=one", "hydra.sweeper.n_trials=5") == 0
    assert len(jobs(here)) == 5


def test_a_sweep_whose_jobs_all_fail_is_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stub = here / "stub.py"
    stub.write_text("import sys; print('no luck'); sys.exit(1)")
    assert ganforge("train", *SWEEP, "hydra.sweeper.n_trials=2") == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("ganforge: all 2 jobs failed, the first one by: exit code 1: no luck")


def test_a_damaged_study_is_one_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "one").mkdir()
    (here / "one/sweep.json").write_text('{"command": [], "trials": 4, "jobs": []}')
    (here / "one/study.db").write_text("no database")
    assert ganforge("train", "resume_sweep=one") == 3
    assert "one/study.db cannot be read as the study" in capsys.readouterr().err


@pytest.mark.parametrize("sweep", [name for name in options("sweep") if name.startswith("optuna")])
def test_every_search_composes_each_of_its_trials(sweep: str, tmp_path: Path) -> None:
    import hydra_plugins.hydra_optuna_sweeper._impl as impl
    from hydra.core.hydra_config import HydraConfig

    composed("train", [f"sweep={sweep}"], tmp_path, tmp_path)
    params = HydraConfig.get().sweeper.params
    space, _ = impl.create_params_from_overrides([f"{k}={v}" for k, v in params.items()])
    study = optuna.create_study()
    for _ in range(5):
        trial = study.ask(space)
        chosen = [f"{key}={value}" for key, value in trial.params.items()]
        assert composed("train", [f"sweep={sweep}", *chosen], tmp_path, tmp_path).model._target_
