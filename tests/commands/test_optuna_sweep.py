"""Sweeps by Optuna; a stub stands for a job's training."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganforge.sweeps import process
from helpers import composed, ganforge, options

optuna = pytest.importorskip("optuna")

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
if pathlib.Path("interrupt").exists():
    pathlib.Path("interrupt").unlink()
    os.kill(os.getppid(), signal.SIGINT)
    import time
    time.sleep(60)
value = {"objective": "w1", "value": config["model"]["latent_dim"] / 10, "step": 7}
value["pruned"] = pathlib.Path("prune").exists()
(folder / "outcome.json").write_text(json.dumps(value))
"""
SWEEP = ["sweep=optuna_gaussian1d", "hydra.sweep.dir=one", "logger=[]"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stub.py").write_text(STUB)
    monkeypatch.setattr(process, "JOB", (sys.executable, str(tmp_path / "stub.py")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


NAME = "optuna_gaussian1d"


def studied(here: Path, address: str = "sqlite:///{}/one/study.db") -> "optuna.Study":
    return optuna.load_study(study_name=NAME, storage=address.format(here))


def states(study: "optuna.Study") -> list[str]:
    return [trial.state.name for trial in study.trials]


def asked(job: dict) -> list[str]:
    return [word for word in job["overrides"] if not word.startswith("hydra.sweeper.")]


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
    assert [asked(job) for job in second[:4]] == [asked(job) for job in first]
    study = studied(here)
    assert states(study) == ["COMPLETE", "FAIL", "FAIL", "COMPLETE", *["COMPLETE"] * 3]
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


def mended(here: Path) -> list[str]:
    (here / "mended").touch()
    return [*SWEEP, "hydra.sweeper.n_trials=2"]


BAD = {
    "hydra.sweeper.n_trials=0": "n_trials=0 must be a number from 1 on",
    "hydra.sweeper.n_jobs=0": "n_jobs=0 must be a number from 1 on",
    "hydra.sweeper.sampler._target_=optuna.samplers.NoSampler": "NoSampler",
    "hydra.sweeper.sampler._target_=builtins.dict": "where a BaseSampler is needed",
    "hydra/sweeper/sampler=tpa": "tpe",
    "loss=tag(log,interval(0.0,1.0))": "loss=tag(log,interval(0.0,1.0)) cannot be searched",
    "hydra.sweeper.direction=sideways": "direction must be minimize or maximize",
    "hydra.sweeper.objectives=[speed]": "speed",
    "hydra.sweeper.storage=postgresql://me:secret@host/db": "PGPASSWORD",
    "hydra.sweeper.storage=nodatabase://host/db": "nodatabase://host/db",
    "hydra.sweeper.storage=sqlite:////nowhere/at/all/study.db": "nowhere/at/all/study.db",
    "hydra.sweeper.storage=nowhere/at/all.journal": "nowhere/at/all.journal",
    "hydra/sweeper/sampler=grid": "hydra.sweeper.sampler cannot search this",
    "hydra/launcher=basic": "launcher=",
}


@pytest.mark.parametrize(("word", "told"), BAD.items())
def test_what_cannot_be_searched_is_one_sentence(
    word: str, told: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ganforge("train", *mended(here), word) in (2, 3)
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("ganforge: ")
    assert told in lines[-1]
    assert "Traceback" not in "".join(lines)


def test_nothing_to_search_is_one_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ["model.optimizer_generator.lr", "model.optimizer_discriminator.lr"]
    keys += ["model.latent_dim", "callbacks.ema.half_life_kimg"]
    assert ganforge("train", *mended(here), "loss=hinge", *(f"{key}=1" for key in keys)) == 2
    assert "there is nothing to search" in capsys.readouterr().err


def test_a_study_of_another_space_is_refused_and_left_alone(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ganforge("train", *mended(here)) == 0
    other = "model.latent_dim=range(1,5)"
    assert ganforge("train", "resume_sweep=one", "hydra.sweeper.n_trials=3", other) == 2
    assert "is of another space (model.latent_dim is" in capsys.readouterr().err
    fixed = ["resume_sweep=one", "hydra.sweeper.n_trials=3", "loss=hinge"]
    assert ganforge("train", *fixed) == 2
    assert "is of another space (loss is" in capsys.readouterr().err
    assert ganforge("train", "resume_sweep=one", "hydra.sweeper.n_trials=3") == 0
    assert states(studied(here)) == ["COMPLETE"] * 3


def test_a_study_is_joined_by_intent_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared = f"hydra.sweeper.storage=sqlite:///{here}/all.db"
    assert ganforge("train", *mended(here), shared) == 0
    again = [*SWEEP[::2], "hydra.sweep.dir=two", "hydra.sweeper.n_trials=3"]
    assert ganforge("train", *again, shared) == 2
    assert "take part in it by sweep.join=" in capsys.readouterr().err
    again[-2] = "hydra.sweep.dir=three"
    assert ganforge("train", *again, f"sweep.join=sqlite:///{here}/all.db") == 0
    assert states(studied(here, "sqlite:///{}/all.db")) == ["COMPLETE"] * 3
    assert len(json.loads((here / "three/sweep.json").read_text())["jobs"]) == 1


def test_a_pruned_trial_is_told_as_pruned(here: Path) -> None:
    (here / "prune").touch()
    assert ganforge("train", *mended(here)) == 0
    assert states(studied(here)) == ["PRUNED"] * 2
    assert ganforge("train", "resume_sweep=one") == 0
    assert len(jobs(here)) == 2


def test_a_pruner_without_scores_on_the_way_says_so_and_keeps_the_result(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ganforge("train", *mended(here), "hydra/sweeper/pruner=median") == 2
    assert "trial 0 told no score on its way" in capsys.readouterr().err
    assert states(studied(here)) == ["COMPLETE"]
    assert ganforge("train", "resume_sweep=one", "hydra/sweeper/pruner=none") == 0
    assert states(studied(here)) == ["COMPLETE"] * 2


def test_a_sweep_stopped_in_a_trial_goes_on_with_it(here: Path) -> None:
    (here / "interrupt").touch()
    assert ganforge("train", *mended(here), "hydra.launcher.grace=5") == 130
    assert [job["state"] for job in jobs(here)] == ["interrupted"]
    assert states(studied(here)) == ["FAIL"]
    first = asked(jobs(here)[0])
    assert ganforge("train", "resume_sweep=one") == 0
    assert states(studied(here)) == ["FAIL", "COMPLETE", "COMPLETE"]
    assert [job["state"] for job in jobs(here)] == ["done"] * 2
    assert asked(jobs(here)[0]) == first


def test_a_result_that_could_not_be_told_is_told_later(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def locked(*arguments: object) -> None:
        raise optuna.exceptions.StorageInternalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "tell", locked)
        assert ganforge("train", *mended(here)) == 3
    assert "(database is locked): once it can, go on by" in capsys.readouterr().err
    assert states(studied(here)) == ["RUNNING"]
    began = (here / "one/0/job.json").stat().st_mtime_ns
    assert ganforge("train", "resume_sweep=one") == 0
    assert states(studied(here)) == ["COMPLETE"] * 2
    assert (here / "one/0/job.json").stat().st_mtime_ns == began


def test_a_study_that_is_gone_is_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ganforge("train", *mended(here)) == 0
    (here / "one/study.db").unlink()
    assert ganforge("train", "resume_sweep=one", "hydra.sweeper.n_trials=3") == 3
    assert "bring it back, or start again elsewhere" in capsys.readouterr().err
    assert [job["state"] for job in jobs(here)] == ["done"] * 2


def test_a_damaged_study_is_one_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ganforge("train", *mended(here)) == 0
    (here / "one/study.db").write_text("no database")
    assert ganforge("train", "resume_sweep=one") == 3
    assert "one/study.db cannot be read as the study" in capsys.readouterr().err


@pytest.mark.parametrize("sampler", ["cmaes", "gp", "nsgaii", "random", "tpe"])
@pytest.mark.parametrize("pruner", ["none", "hyperband"])
def test_every_sampler_searches(sampler: str, pruner: str, here: Path) -> None:
    search = ["loss=hinge,minimax", "model.latent_dim=range(1,9)"]
    choice = [f"hydra/sweeper/sampler={sampler}", f"hydra/sweeper/pruner={pruner}"]
    (here / "prune").touch()  # else a pruner wants scores, which the stub does not report
    assert ganforge("train", *mended(here), *search, *choice) == 0
    assert states(studied(here)) == ["PRUNED"] * 2


def test_all_of_a_grid_ends_the_sweep(here: Path) -> None:
    mended(here)
    keys = ["hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials=10"]
    fixed = ["model.optimizer_generator.lr=1e-3", "model.optimizer_discriminator.lr=1e-3"]
    fixed += ["callbacks.ema.half_life_kimg=1", "loss=hinge", "model.latent_dim=range(1,4)"]
    assert ganforge("train", *SWEEP, *keys, *fixed) == 0
    assert sorted(trial.params["model.latent_dim"] for trial in studied(here).trials) == [1, 2, 3]


def test_two_objectives_are_weighed(here: Path) -> None:
    two = [
        "hydra.sweeper.objectives=[value,seconds]",
        "hydra.sweeper.direction=[minimize,minimize]",
    ]
    assert ganforge("train", *mended(here), *two, "hydra/sweeper/sampler=nsgaii") == 0
    assert [len(trial.values) for trial in studied(here).trials] == [2, 2]
    assert (here / "one/study-front.png").is_file()
    assert ganforge("train", "resume_sweep=one", "hydra/sweeper/pruner=median") == 2


def test_plots_lie_beside_the_ranking(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ganforge("train", *mended(here)) == 0
    told = capsys.readouterr().out
    for name in ("history", "importance", "parallel"):
        assert f"one/study-{name}.png" in told
        assert (here / f"one/study-{name}.png").stat().st_size > 1000


PROGRAM = """
import sys
from ganforge.sweeps import process
process.JOB = (sys.executable, sys.argv.pop(1))
from ganforge.cli import main
main()
"""


@pytest.fixture
def database() -> Iterator[str]:
    """A PostgreSQL of its own, which no password guards and no network reaches."""
    pytest.importorskip("psycopg2")
    found = shutil.which("initdb") or max(
        map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=""
    )
    if not found:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    who = {}
    if os.getuid() == 0:  # which PostgreSQL refuses to run as
        shutil.chown(folder, "nobody")
        who = {"user": "nobody"}

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [str(Path(found).with_name(program)), "-D", f"{folder}/data", *arguments],
            check=True, capture_output=False, stdout=subprocess.DEVNULL, cwd=folder, **who,
        )  # fmt: skip

    run("initdb", "-A", "trust", "-U", "ganforge")
    run("pg_ctl", "-w", "-l", f"{folder}/log", "-o", f"-k {folder} -c listen_addresses=''", "start")
    yield f"postgresql+psycopg2://ganforge@/postgres?host={folder}"
    run("pg_ctl", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["sqlite", "journal", "postgresql"])
def test_two_processes_share_a_study(kind: str, here: Path, request: pytest.FixtureRequest) -> None:
    """Six trials in all, none of them twice, whoever runs them."""
    if kind == "postgresql":
        address = request.getfixturevalue("database")
    else:
        address = f"sqlite:///{here}/all.db" if kind == "sqlite" else f"{here}/all.journal"
    (here / "program.py").write_text(PROGRAM)
    (here / "mended").touch()
    words = ["train", "sweep=optuna_gaussian1d", "logger=[]", "hydra.sweeper.n_trials=6"]
    both = [
        subprocess.Popen(
            [sys.executable, "program.py", "stub.py", *words, f"hydra.sweep.dir={name}",
             f"sweep.join='{address}'"],
            cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    for each in both:
        assert each.wait(120) == 0, each.stderr.read()
    from ganforge.utils.studies import open_storage

    study = optuna.load_study(study_name=NAME, storage=open_storage(address))
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert len(complete) == 6
    assert all(trial.state.name == "FAIL" and not trial.params
               for trial in study.trials if trial not in complete)  # fmt: skip
    sizes = sorted(trial.values[0] for trial in complete)
    ran = [json.loads((here / name / "sweep.json").read_text())["jobs"] for name in ("one", "two")]
    assert sorted(job["value"] for jobs in ran for job in jobs) == sizes


@pytest.mark.parametrize("sweep", [name for name in options("sweep") if name.startswith("optuna")])
def test_every_search_composes_each_of_its_trials(sweep: str, tmp_path: Path) -> None:
    from hydra.core.hydra_config import HydraConfig

    from ganforge.sweeps.space import Space

    composed("train", [f"sweep={sweep}"], tmp_path, tmp_path)
    space = Space.read(HydraConfig.get().sweeper.params, {}, [])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(5):
        chosen = space.suggest(study.ask())
        assert composed("train", [f"sweep={sweep}", *chosen], tmp_path, tmp_path).model._target_
