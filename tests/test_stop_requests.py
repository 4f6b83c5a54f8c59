"""Processes end: workers with their parent, commands by a signal, whatever they are at."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ganforge.utils.stops import StopRequestedError, stoppable

POOL = """
import os, time
from pathlib import Path

def slow(part):
    Path(f"{os.getpid()}.worker").touch()
    time.sleep(0.2)
"""
PARENT = """
import pool_of_two
from ganforge.data.parallel import map_chunks
from ganforge.utils.stops import stoppable

with stoppable():
    list(map_chunks(pool_of_two.slow, range(100_000), "waiting", workers=2))
"""


def is_alive(pid):
    """Whether a process runs; one that nobody has asked about its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent(number, tmp_path):
    (tmp_path / "pool_of_two.py").write_text(POOL)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", PARENT]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while len(workers := [int(path.stem) for path in tmp_path.glob("*.worker")]) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(60) != 0
    until = time.monotonic() + 60
    while any(map(is_alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2"])
def test_a_signal_ends_a_block_and_handlers_come_back(name):
    number = signal.Signals[name]
    before = signal.getsignal(number)
    with pytest.raises(StopRequestedError) as stopped, stoppable():  # noqa: PT012
        os.kill(os.getpid(), number)
        time.sleep(10)
    assert stopped.value.signal == name
    assert signal.getsignal(number) == before


def test_what_cleans_up_is_not_interrupted_again():
    cleaned = False
    with pytest.raises(StopRequestedError), stoppable():  # noqa: PT012
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)  # its echo
            time.sleep(0.1)
            cleaned = True
    assert cleaned


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize(("command", "code"), [("train", 75), ("evaluate", 143)])
def test_a_signal_is_a_sentence_and_an_exit_code(command, code, monkeypatch, capsys):
    from ganforge import cli

    monkeypatch.setattr(sys, "argv", ["ganforge", command])
    monkeypatch.setattr(cli, "run", lambda: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(10))
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == code
    assert ("resume=auto goes on" in capsys.readouterr().err) == (code == 75)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_training_that_draws_its_data_is_stopped(number, tmp_path):
    """The loop of docs/resume.md goes on, and no folder is left of what had not begun."""
    environment = {**os.environ, "GANFORGE_DATA": str(tmp_path / "data"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "ganforge", "train", "data.source.train_count=500000",
               "data.source.workers=2", "logger=[]"]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, text=True, stderr=subprocess.PIPE
    )
    while not list(tmp_path.glob("data/cache/.*/train/images.npy")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.send_signal(number)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 75, told
    assert f"ganforge: {number.name}: stopped; what was saved is kept" in told
    assert "Traceback" not in told
    assert not list(tmp_path.glob("data/cache/.avatars*.*/"))
    assert not (tmp_path / "outputs").exists() or not list((tmp_path / "outputs").iterdir())
