"""Killed and resumed is the same, bit for bit, as never killed."""

import signal

import pytest
from fault_harness import (
    MOMENTS,
    MORE,
    SMALL,
    Lab,
    kill_at_the_end,
    kill_at_write,
    kill_in_step,
    outcome,
    overrides_of,
)


@pytest.mark.parametrize(
    "model", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_killed_twice_and_resumed(model, data, whole, tmp_path):
    """Once in the middle of an epoch, once where an epoch and a checkpoint meet."""
    folder, lab = tmp_path / "run", Lab(data, overrides_of(model))
    assert lab.run(folder, fault=kill_in_step(7)) == [-signal.SIGKILL]
    assert lab.run(folder, resume=True, fault=kill_in_step(13)) == [-signal.SIGKILL]
    assert lab.run(folder, resume=True) == [0]
    assert outcome(folder) == whole(model)


FEW = (5, 17)
REST = [pytest.param(n, marks=pytest.mark.slow) for n in range(1, 60) if n not in FEW]


@pytest.mark.parametrize("count", [*FEW, *REST])
def test_killed_while_it_writes(count, lab, whole, tmp_path):
    """Every sync and every rename is a moment at which the machine may go away."""
    folder = tmp_path / "run"
    code = lab.run(folder, fault=kill_at_write(count))
    assert code == [-signal.SIGKILL], f"there is no write number {count}"
    assert lab.run(folder, resume=True) == [0]
    assert outcome(folder) == whole("gan")
    assert not list(folder.rglob(".partial-*"))


@pytest.mark.parametrize("job", [False, True], ids=["run", "job"])
@pytest.mark.parametrize(
    "moment",
    [m if m == "gif" else pytest.param(m, marks=pytest.mark.slow) for m in MOMENTS],
)
def test_killed_after_the_last_checkpoint(moment, job, data, whole, tmp_path):
    """What follows is done again; no weight changes, no checkpoint is written or deleted."""
    folder, lab = tmp_path / "run", Lab(data, overrides_of("gan"), job=job)
    assert lab.run(folder, fault=kill_at_the_end(moment)) == [-signal.SIGKILL]
    checkpoints = {path.name: path.read_bytes() for path in (folder / "checkpoints").iterdir()}
    if moment != "report":
        assert not (folder / "outcome.json").exists()
        assert lab.run(folder, resume=True) == [0]
        assert "its training ended with step 14" in folder.with_suffix(".0.log").read_text()
    assert outcome(folder) == whole("gan")
    assert (folder / "health.png").is_file()
    found = {path.name: path.read_bytes() for path in (folder / "checkpoints").iterdir()}
    assert found == checkpoints
    assert lab.run(folder, resume=True) == [2]  # is finished


@pytest.mark.slow
@pytest.mark.parametrize("model", SMALL)
@pytest.mark.parametrize("rank", [0, 1])
def test_two_processes_killed_and_resumed(model, rank, data, whole, tmp_path):
    folder, lab = tmp_path / "run", Lab(data, overrides_of(model), ranks=2)
    assert lab.run(folder, fault=kill_in_step(7), rank=rank)[rank] == -signal.SIGKILL
    assert lab.run(folder, resume=True) == [0, 0]
    assert outcome(folder) == whole(model, 2)
