"""Sweeps on the command line. Most tests let a stub stand for a job's training."""

import json
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from ganforge.sweeps import jobs as sweep
from ganforge.sweeps import process
from helpers import CONF, ganforge

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


@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=basic"]])
def test_a_sweep_over_models_without_a_name_lies_in_one_folder(
    here: Path, launcher: list[str]
) -> None:
    """The name is made of the model and the data, which differ from job to job."""
    grid = ["model=gan,dcgan", "callbacks=density", "loss=non_saturating,hinge"]
    assert ganforge("train", "logger=[]", *launcher, "-m", *grid, "seed=1") == 0
    (folder,) = (here / "outputs/sweeps").iterdir()
    assert folder.name.startswith("avatars-2")  # by what all jobs share
    assert sorted((here / "ran").read_text().split()) == ["0", "1", "2", "3"]
    assert all((folder / str(number) / "outcome.json").is_file() for number in range(4))


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


BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
ENGINE = ["hydra/launcher=engine", f"+hydra.launcher.engine._target_={BASIC}"]


def engine_launches(patch: pytest.MonkeyPatch, launch: Any) -> None:
    """Let ``launch(the engine's own launch, jobs, first)`` stand for that of the engine."""
    instantiate = Plugins.instantiate_launcher

    def instantiated(self: Plugins, **options: Any) -> Any:
        launcher = instantiate(self, **options)
        if type(launcher).__name__ == "BasicLauncher":
            launcher.launch = partial(launch, launcher.launch)
        return launcher

    patch.setattr(Plugins, "instantiate_launcher", instantiated)


def test_an_engine_runs_jobs_that_the_list_knows(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra's basic launcher stands for that of a cluster."""
    monkeypatch.setenv("ENGINES_OWN", "")
    monkeypatch.delenv("ENGINES_OWN")  # puts it back at the end
    own = "+hydra.launcher.environment.ENGINES_OWN='1'"
    assert ganforge("train", "-m", *SWEEP, *ENGINE, own, "seed=1,3,2") == 0
    jobs, text = listed(here / "sweeps/one"), capsys.readouterr().out
    assert [jobs[n]["state"] for n in range(3)] == ["done", "failed", "done"]
    assert [jobs[n]["value"] for n in range(3)] == [1.0, None, 2.0]
    assert os.environ["ENGINES_OWN"] == "1"
    assert jobs[1]["reason"] == "ValueError: three"
    assert "3 jobs: 2 done, 1 failed" in text
    (here / "mended").touch()
    assert ganforge("train", "resume_sweep=sweeps/one") == 0
    assert (here / "ran").read_text().split() == ["0", "2", "1"]


@pytest.mark.parametrize(
    ("error", "code", "state", "words"),
    [
        (TimeoutError("SLURM\nsaid no"), 0, "failed", "(TimeoutError: SLURM said no)"),
        (KeyboardInterrupt(), 130, "interrupted", "the sweep was interrupted"),
    ],
)
def test_an_engine_that_stops_leaves_a_list_that_can_be_gone_on_with(
    error: BaseException, code: int, state: str, words: str, here: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It raises after the first of three jobs."""

    def stops(launch: Any, overrides: list, first: int) -> None:
        launch(overrides[:1], first)
        raise error

    with monkeypatch.context() as patch:
        engine_launches(patch, stops)
        assert ganforge("train", "-m", *SWEEP, *ENGINE, "seed=1,2,5") == code
    jobs = listed(here / "sweeps/one")
    assert [jobs[n]["state"] for n in range(3)] == ["done", state, state]
    assert words in str(jobs[2]["reason"])
    assert "until it is cancelled" in str(jobs[2]["reason"])
    assert ganforge("train", "resume_sweep=sweeps/one") == 0
    assert (here / "ran").read_text().split() == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError("SLURM's\ntime is over"), "TimeoutError: SLURM's time is over"),
        (SystemExit(-1), "its launcher puts it into the queue again, where it goes on"),
    ],
)
def test_a_launcher_that_interrupts_its_job_leaves_the_reason(
    error: BaseException, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As submitit does: it raises out of the handler of SLURM's signal."""
    (tmp_path / "sleeps.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(process, "JOB", (sys.executable, str(tmp_path / "sleeps.py")))
    monkeypatch.setattr(sweep, "prepare_job", lambda config: tmp_path)

    def interrupt(number: int, frame: Any) -> None:
        raise error

    before = signal.signal(signal.SIGUSR2, interrupt)
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGUSR2))
    try:
        timer.start()
        with pytest.raises(type(error)):
            sweep.run_here(OmegaConf.create())
    finally:
        timer.join()
        signal.signal(signal.SIGUSR2, before)
    record = json.loads((tmp_path / "job.json").read_text())
    assert (record["state"], record["reason"]) == ("interrupted", reason)


def test_an_engine_that_failed_before_a_job_began_tells_why(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some engines keep what a job raised in what they return."""
    lost = JobReturn(status=JobStatus.FAILED)
    lost.return_value = MemoryError("none left")
    engine_launches(monkeypatch, lambda launch, jobs, first: [lost] * len(jobs))
    assert ganforge("train", "-m", *SWEEP, *ENGINE, "seed=1,2") == 2
    reason = listed(here / "sweeps/one")[1]["reason"]
    assert reason == "stopped before its training began (MemoryError: none left)"
    assert "(None)" not in capsys.readouterr().out


def test_a_cluster_without_gpus_is_told_what_to_set(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(launch: Any, jobs: list, first: int) -> None:
        raise RuntimeError("sbatch: error: Invalid generic resource (gres) specification")

    engine_launches(monkeypatch, refuse)
    assert ganforge("train", "-m", *SWEEP, *ENGINE, "seed=1,2") == 2
    assert "engine.gpus_per_node=null" in str(listed(here / "sweeps/one")[0]["reason"])


@pytest.mark.parametrize(
    ("launcher", "package", "setting"),
    [
        ("submitit_slurm", "hydra_submitit_launcher", ("timeout_min", 720)),
        ("submitit_local", "hydra_submitit_launcher", ("timeout_min", 60)),
        ("ray", "hydra_ray_launcher", ("ray.remote.num_cpus", 1)),
    ],
)
def test_launchers_of_clusters_compose(
    launcher: str, package: str, setting: tuple[str, int], here: Path
) -> None:
    pytest.importorskip(f"hydra_plugins.{package}")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        chosen = compose("train", [f"launcher={launcher}"], return_hydra_config=True).hydra.launcher
    assert chosen._target_.endswith("EngineLauncher")
    key, value = setting
    assert package in chosen.engine._target_
    assert OmegaConf.select(chosen.engine, key) == value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "package"),
    [("submitit_local", "hydra_submitit_launcher"), ("ray", "hydra_ray_launcher")],
)
def test_engines_train_in_processes_of_their_own(here: Path, launcher: str, package: str) -> None:
    """For real: their processes know nothing of the stub."""
    pytest.importorskip(f"hydra_plugins.{package}")
    short = ["trainer.max_steps=2", "trainer.accelerator=cpu", f"paths.data_dir={here}/data"]
    small = ["data.source.train_count=1024", "data.source.test_count=128"]
    chosen = f"launcher={launcher}"
    assert ganforge("train", "-m", *SWEEP, chosen, *short, *small, "seed=1,2") == 0
    jobs = listed(here / "sweeps/one")
    assert [jobs[n]["state"] for n in (0, 1)] == ["done"] * 2
    assert [jobs[n]["objective"] for n in (0, 1)] == ["wasserstein1"] * 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-m", *SWEEP, "seed=3,4"], 2, ["all 2 jobs failed", "ValueError: three", "0/job.log"]),
        (["-m", *SWEEP, "seed=1", "sweep=nothing"], 2, ["sweep has no option 'nothing'"]),
        (["-m", *SWEEP, "seed=1", "launcher=lokal"], 2, ["lokal", "did you mean local"]),
        (["-m", *SWEEP, "seed=1", "hydra.launcher.jobs=0"], 2, ["hydra.launcher.jobs=0"]),
        (
            ["-m", *SWEEP, "seed=1", "hydra.launcher.gpus_per_job=64"],
            2,
            ["gpus_per_job=64", "GPUs are visible"],
        ),
        (["-m", *SWEEP, "seed=1", "hydra.sweep.dir=old"], 2, ["old holds a sweep already"]),
        (["resume_sweep=empty"], 2, ["empty is not a sweep", "old"]),
        (["resume_sweep="], 2, ["resume_sweep= is empty: give a path"]),
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


def test_what_all_jobs_lack_is_told_once_before_the_first(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-m", "data=image_folder", "logger=[]", "hydra.sweep.dir=sweeps/one", "seed=1,2"]
    assert ganforge("train", *words, "data.source.path=nowhere") == 2
    told = capsys.readouterr()
    assert told.err.count("nowhere: there is no such file or folder") == 1
    assert "runs:" not in told.out
    assert not (here / "ran").exists()


def test_what_one_job_lacks_stops_no_other(here: Path) -> None:
    (here / "pictures").mkdir()
    words = ["-m", "data=image_folder", "logger=[]", "hydra.sweep.dir=sweeps/one", "+here=1"]
    words += ["callbacks=density", "data.source.path=nowhere,pictures"]
    assert ganforge("train", *words) == 0
    assert sorted((here / "ran").read_text().split()) == ["0", "1"]  # the stub needs no data
