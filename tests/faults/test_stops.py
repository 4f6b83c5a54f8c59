"""Asked to stop: saved within one step, a code that says so, and nothing lost."""

import os
import signal
import subprocess
import sys
import time

import pytest
from fault_harness import Lab, outcome, overrides_of, signal_in_step, stop_in_step

from ganforge.training.resume import State, newest_state
from ganforge.utils.records import read_records
from ganforge.utils.runs import Run

PREEMPTED = 75


def slow(value):
    """A case for the full set of tests."""
    return pytest.param(value, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, slow(signal.SIGINT), slow(signal.SIGUSR1), slow(signal.SIGUSR2)]
)
def test_a_signal_saves_the_step_it_came_in(number, lab, whole, tmp_path):
    folder = tmp_path / "run"
    assert lab.run(folder, fault=signal_in_step(6, number)) == [PREEMPTED]
    assert newest_state(Run(folder)) == State(folder / "checkpoints" / "last.ckpt", 6)
    told = folder.with_suffix(".0.log").read_text()
    assert f"{number.name}: stopped after step 6, all is saved; go on with ganforge train" in told
    assert not list(folder.glob("samples/*.gif"))
    assert lab.run(folder, resume=True) == [0]
    assert outcome(folder) == whole("gan")


@pytest.mark.slow
def test_a_signal_in_the_last_step_lets_the_run_end(lab, whole, tmp_path):
    assert lab.run(tmp_path / "run", fault=signal_in_step(14, signal.SIGTERM)) == [0]
    assert outcome(tmp_path / "run") == whole("gan")


def test_a_second_ctrl_c_ends_at_once(lab, tmp_path):
    """Its echo within a second, which wrappers send, does not."""

    echo = signal_in_step(3, signal.SIGINT, times=2)
    assert lab.run(tmp_path / "echo", fault=echo) == [PREEMPTED]
    again = signal_in_step(3, signal.SIGINT, times=2, grace=-1.0)
    assert lab.run(tmp_path / "again", fault=again) == [-signal.SIGINT]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_rank_stops_all_in_the_same_step(rank, data, whole, tmp_path):
    folder, lab = tmp_path / "run", Lab(data, overrides_of("gan"), ranks=2)
    fault = signal_in_step(6, signal.SIGTERM)
    assert lab.run(folder, fault=fault, rank=rank) == [PREEMPTED, 0]
    assert newest_state(Run(folder)).step == 6
    assert lab.run(folder, resume=True) == [0, 0]
    assert outcome(folder) == whole("gan", 2)


@pytest.mark.parametrize("array", [True, slow(False)])
def test_slurm_is_asked_for_another_turn(array, lab, tmp_path, monkeypatch):
    """SIGUSR1 is what ``sbatch --signal=USR1@90`` sends; ``scontrol`` is played by a script."""
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    if array:
        monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "40")
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
    options = {"fault": signal_in_step(4, signal.SIGUSR1), "change": ["resume.auto=true"]}
    assert lab.run(tmp_path / "run", **options) == [PREEMPTED]
    assert (tmp_path / "asked").read_text() == f"requeue {'40_7' if array else '42'}\n"
    # Without resume=auto the next turn would begin anew, and other signals are SLURM's own affair.
    assert lab.run(tmp_path / "b", fault=signal_in_step(4, signal.SIGUSR1)) == [PREEMPTED]
    options["fault"] = signal_in_step(4, signal.SIGTERM)
    assert lab.run(tmp_path / "c", **options) == [PREEMPTED]
    assert (tmp_path / "asked").read_text().count("\n") == 1


def test_one_process_has_the_folder(lab, tmp_path):
    folder, marker = tmp_path / "run", tmp_path / "stands still"
    life = lab.start(folder, fault=stop_in_step(4, marker))
    while not marker.exists():
        assert life.ranks[0].is_alive(), folder.with_suffix(".0.log").read_text()
        time.sleep(0.02)
    try:
        assert lab.run(folder, resume=True) == [2]
        told = folder.with_suffix(".0.log").read_text()
        assert "is being trained by another process" in told
    finally:
        life.kill()
        life.wait()
    assert lab.run(folder, resume=True) == [0]


def command_line(folder, *overrides):
    """Start a run in a process of its own, and wait for its first records."""
    command = [
        sys.executable, "-m", "ganforge", "train", "experiment=gaussian1d", "logger=[]",
        "callbacks.theory.n_samples=100", "callbacks.checkpoints.every_n_steps=40",
        "trainer.log_every_n_steps=10", f"hydra.run.dir={folder}", *overrides,
    ]  # fmt: skip
    environment = {**os.environ, "GANFORGE_DATA": str(folder.parent / "data")}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "env": environment}
    process = subprocess.Popen(command, text=True, cwd=folder.parent, **options)
    while not (folder / "metrics.jsonl").exists() or records(folder)[-1]["step"] < 10:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    return process


def records(folder):
    return read_records(folder / "metrics.jsonl") or [{"step": 0}]


def test_the_command_line_says_how_to_go_on(tmp_path):
    """The whole way once, as a user goes it: a process of its own, Ctrl-C, the printed command."""
    folder = tmp_path / "my run"
    process = command_line(folder, "trainer.max_steps=100000")
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=120)[0]
    assert process.returncode == PREEMPTED
    assert f"go on with ganforge train resume='{folder}'" in told
    assert newest_state(Run(folder)).step >= 10


@pytest.mark.slow
def test_two_processes_of_one_command_stop_and_go_on(tmp_path):
    """The first process starts the second: the signal reaches the first one only."""
    ddp = ["trainer=ddp_sim", "trainer.max_steps=200", "resume=auto"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert command_line(whole, *ddp).wait() == 0
    process = command_line(stopped, *ddp)
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=120)[0]
    assert process.returncode == PREEMPTED, told
    assert told.count("all is saved") == 1
    assert 10 <= newest_state(Run(stopped)).step < 200
    process = command_line(stopped, *ddp)
    told = process.communicate(timeout=120)[0]
    assert process.returncode == 0, told
    assert "Going on with stopped after step" in told
    ours, theirs = outcome(stopped), outcome(whole)
    assert ours == theirs
