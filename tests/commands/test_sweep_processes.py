"""Sweeps with real jobs: crashes of two kinds, W&B runs, several ranks, an interruption."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from ganforge.sweeps.process import still_runs
from wandb_files import runs_in

TINY = [
    "experiment=gaussian1d",
    "trainer.log_every_n_steps=5",
    "callbacks.theory.every_n_steps=1000",
    "callbacks.theory.n_samples=200",
    "callbacks.checkpoints.every_n_steps=5",
    "data.source.train_count=2000",
    "data.source.test_count=200",
    "data.batch_size=16",
    "hydra.sweep.dir=one",
]
PLANNED = '''
import os, signal
from pathlib import Path
from lightning.pytorch import Callback

class Planned(Callback):
    """Two jobs end badly after step 10, until the file "mended" is there."""

    def __init__(self, job):
        self.job = job

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step != 10 or Path("mended").exists():
            return
        if self.job == "2,1":
            raise RuntimeError("planned")
        if self.job == "5,2":
            os.kill(os.getpid(), signal.SIGKILL)
'''
WITNESS = """
import json
from pathlib import Path
from lightning.pytorch import Callback

class Witness(Callback):
    def on_train_end(self, trainer, module):
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        weights = sum(p.double().abs().sum().item() for p in module.generator.parameters())
        seen = {"lr": rate, "size": trainer.world_size, "weights": weights}
        path = Path(trainer.default_root_dir) / f"rank{trainer.global_rank}.json"
        path.write_text(json.dumps(seen))
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "planned.py").write_text(PLANNED)
    (tmp_path / "witness.py").write_text(WITNESS)
    return tmp_path


def environment(here: Path) -> dict[str, str]:
    secret = ("WANDB_API_KEY", "WANDB_MODE", "WANDB_RUN_ID")
    kept = {key: value for key, value in os.environ.items() if key not in secret}
    return {
        **kept,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HOME": str(here),
        "GANFORGE_DATA": str(here / "data"),
    }


def start(here: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ganforge", "train", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=here, env=environment(here), stdout=pipe, stderr=pipe, text=True
    )


def sweep(here: Path, *arguments: str) -> str:
    process = start(here, *arguments)
    out, error = process.communicate(timeout=1200)
    assert process.returncode == 0, out[-2000:] + error[-2000:]
    return out


def jobs(here: Path) -> list[dict]:
    return json.loads((here / "one/sweep.json").read_text())["jobs"]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_twelve_jobs_two_of_which_crash(here: Path) -> None:
    out = sweep(
        here, "-m", *TINY, "seed=1,2,3,4,5,6", "model.n_critic=1,2", "logger=wandb",
        "trainer.max_steps=20", "+callbacks.planned._target_=planned.Planned",
        "+callbacks.planned.job='${seed},${model.n_critic}'",
    )  # fmt: skip
    first = jobs(here)
    assert "12 jobs: 10 done, 2 failed" in out
    failed = {job["number"]: job["reason"] for job in first if job["state"] == "failed"}
    assert failed.keys() == {2, 9}
    assert failed[2] == "RuntimeError: planned"
    assert failed[9].startswith("killed by SIGKILL")
    assert sum(job["value"] is not None for job in first) == 10

    runs = runs_in(here / "one", ended=11)
    assert len(runs) == 12
    assert sorted(str(run.exit_code) for run in runs) == [*["0"] * 10, "1", "None"]
    told = [run for run in runs if run.id]  # the kill may come before W&B has written a word
    assert len({run.id for run in told}) == len(told) >= 11
    assert {run.group for run in told} == {"one"}
    assert {run.name for run in told} | {"one/9"} == {f"one/{number}" for number in range(12)}

    (here / "mended").touch()
    before = {n: (here / f"one/{n}/job.log").read_bytes() for n in range(12)}
    sweep(here, "resume_sweep=one")
    logs = {n: (here / f"one/{n}/job.log").read_bytes() for n in range(12)}
    assert {n for n in range(12) if logs[n] != before[n]} == {2, 9}
    assert b"Going on with" in logs[2][len(before[2]) :]
    assert [job["state"] for job in jobs(here)] == ["done"] * 12
    again = runs_in(here / "one", ended=13)
    assert len(again) == 14
    assert len({run.id for run in again} - {""}) == 12  # the two went on under their ids


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_ranks_of_a_job_have_its_configuration(here: Path) -> None:
    """Lightning starts rank 1 by repeating the command line, which here holds a whole sweep."""
    sweep(
        here, "-m", *TINY, "logger=[]", "trainer.max_steps=4", "trainer.devices=2",
        "+trainer.strategy=ddp_find_unused_parameters_true",
        "model.optimizer_generator.lr=1e-3,1e-4", "+callbacks.witness._target_=witness.Witness",
    )  # fmt: skip
    assert [job["state"] for job in jobs(here)] == ["done", "done"]
    for number, rate in ((0, 1e-3), (1, 1e-4)):
        seen = [json.loads((here / f"one/{number}/rank{rank}.json").read_text()) for rank in (0, 1)]
        assert seen[0] == seen[1]
        assert (seen[0]["lr"], seen[0]["size"]) == (rate, 2)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_after_a_kill_of_the_sweep_what_is_done_stays_and_the_rest_goes_on(here: Path) -> None:
    settings = [*TINY, "logger=[csv]", "seed=1,2,3", "trainer.max_steps=300"]
    process = start(here, "-m", *settings)
    saved = here / "one/1/checkpoints/last.ckpt"
    while not saved.is_file():
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    log = here / "one/1/job.log"
    while still_runs(here / "one/1"):
        time.sleep(0.1)
    assert "SIGTERM: stopped" in log.read_text()  # with what started it
    assert not (here / "one/2/checkpoints").exists()
    done = {p: (p.stat().st_mtime_ns, p.read_bytes())
            for p in (here / "one/0").rglob("*") if p.is_file()}  # fmt: skip
    assert here / "one/0/checkpoints/last.ckpt" in done

    out = sweep(here, "resume_sweep=one")
    assert "3 jobs: 3 done" in out
    assert [job["state"] for job in jobs(here)] == ["done"] * 3
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in done} == done
    assert "Going on with" in log.read_text()
    assert steps_of(here / "one/1") == steps_of(here / "one/2")


def steps_of(folder: Path) -> list[str]:
    with (folder / "csv/metrics.csv").open() as rows:
        return [row["step"] for row in csv.DictReader(rows)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_runs_of_one_second_have_a_folder_each(here: Path) -> None:
    name = "hydra.run.dir='outputs/r-${now:%Y}'"  # the same second, without a clock
    short = [*TINY[:-1], "logger=[csv]", "trainer.max_steps=10", name]
    processes = {seed: start(here, *short, f"seed={seed}") for seed in (5, 6, 7)}
    for process in processes.values():
        out, error = process.communicate(timeout=300)
        assert process.returncode == 0, out + error
    folders = [path for path in (here / "outputs").iterdir() if not path.is_symlink()]
    assert len(folders) == 3
    seeds = []
    for folder in folders:
        config = OmegaConf.load(folder / ".hydra/config.yaml")
        state = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
        assert state["global_step"] == 10
        assert f"seed={config.seed}" in OmegaConf.load(folder / ".hydra/overrides.yaml")
        assert Path(config.paths.output_dir).name == folder.name
        seeds.append(config.seed)
    assert sorted(seeds) == [5, 6, 7]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_interruption_stops_the_jobs_and_the_sweep_goes_on_later(here: Path) -> None:
    process = start(here, "-m", *TINY, "logger=[]", "seed=1,2", "trainer.max_steps=2000")
    log = here / "one/0/job.log"
    while not (log.is_file() and "kimg" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert error.strip().endswith("ganforge: interrupted")
    assert "train resume_sweep=one" in out
    assert [job["state"] for job in jobs(here)] == ["interrupted", "waiting"]
    assert "Going on with" not in log.read_text()
    sweep(here, "resume_sweep=one")
    assert [job["state"] for job in jobs(here)] == ["done"] * 2
    assert "Going on with" in log.read_text()
