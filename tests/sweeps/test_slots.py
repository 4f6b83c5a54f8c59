import signal
import subprocess
import sys
import time

import pytest

from ganforge.sweeps.process import Record, read_record, still_runs
from ganforge.sweeps.slots import JobQueue, make_slots
from ganforge.utils.errors import UserError


def test_failures_of_all_kinds_are_put_down_and_the_queue_goes_on(stub_jobs):
    folders = stub_jobs(
        [
            {"value": 1.5},
            {"error": "ValueError: no"},
            {"kill": signal.SIGKILL},
            {"exit": 3},
            {"value": 2.5},
        ]
    )
    events = list(JobQueue([{}, {}], grace=1).run(folders))
    assert len(events) == 10
    records = {folder.name: record for folder, record in events if record.state != "running"}
    assert records["0"] == Record(
        "done", "fid", 1.5, 7, seconds=records["0"].seconds, exit_code=0,
        log=str(folders[0] / "job.log"),
    )  # fmt: skip
    assert records["1"].reason == "ValueError: no"
    assert records["2"].reason.startswith("killed by SIGKILL")
    assert (records["2"].state, records["2"].exit_code) == ("failed", -signal.SIGKILL)
    assert records["3"].reason == "exit code 3: job 3 None"
    assert records["4"].value == 2.5
    for folder in folders:
        assert read_record(folder) == records[folder.name]
        assert (folder / "job.log").read_text() == f"job {folder.name} None\n"


def test_each_job_has_a_gpu_of_its_own(stub_jobs):
    folders = stub_jobs([{"value": 1, "sleep": 0.3} for _ in range(4)])
    list(JobQueue(make_slots(None, ["3", "5"], 1), grace=1).run(folders))
    used = [folder.joinpath("job.log").read_text().split()[-1] for folder in folders]
    assert sorted(used) == ["3", "3", "5", "5"]


def test_interrupted_jobs_are_stopped_with_all_their_processes(stub_jobs):
    folders = stub_jobs([{"sleep": 60, "child": True, "value": 0}, {"value": 0}])
    began = time.monotonic()
    events = JobQueue([{}], grace=5).run(folders)
    assert next(events)[1].state == "running"
    while not (folders[0] / "alive").exists():
        time.sleep(0.01)
    assert still_runs(folders[0])
    events.close()
    assert time.monotonic() - began < 50
    record = read_record(folders[0])
    assert (record.state, record.reason) == ("interrupted", "the sweep was interrupted")
    assert not still_runs(folders[0])  # its child held the log, too
    assert read_record(folders[1]) is None


def test_a_job_stops_when_its_starter_was_killed(tmp_path):
    """What a sweep starts for a job, without the training: SIGTERM for its whole group."""
    job = (
        "import os, pathlib, signal, time\n"
        "from ganforge.sweeps.process import stop_with_starter\n"
        "told = lambda *_: (pathlib.Path('told').touch(), os._exit(0))\n"
        "signal.signal(signal.SIGTERM, told)\nstop_with_starter()\n"
        "pathlib.Path('alive').touch()\ntime.sleep(60)"
    )
    starter = (
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {job!r}], start_new_session=True,\n"
        "    env={**os.environ, 'GANFORGE_STARTER': str(os.getpid())})\ntime.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", starter], cwd=tmp_path)
    wait_for(tmp_path / "alive")
    time.sleep(0.6)  # longer than it takes to look once
    assert not (tmp_path / "told").exists()
    process.kill()
    process.wait()
    wait_for(tmp_path / "told")


def wait_for(path):
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.01)


def test_a_job_that_is_running_elsewhere_is_not_started_twice(stub_jobs):
    folders = stub_jobs([{"sleep": 60, "value": 0}])
    first = JobQueue([{}], grace=1).run(folders)
    next(first)
    ((_, record),) = list(JobQueue([{}], grace=1).run(folders))
    assert record.state == "failed"
    assert "could not be started" in record.reason
    first.close()


def test_a_finished_job_of_a_killed_sweep_counts(stub_jobs):
    """Whoever waited was killed: the record says running, but the outcome is there."""
    (folder,) = stub_jobs([{"value": 4}])
    list(JobQueue([{}], grace=1).run([folder]))
    text = (folder / "job.json").read_text()
    (folder / "job.json").write_text(text.replace('"done"', '"running"'))
    assert read_record(folder).state == "done"
    (folder / "outcome.json").unlink()
    assert read_record(folder).reason == "the process that started it was killed"


@pytest.mark.parametrize(
    ("jobs", "gpus", "per_job", "expected"),
    [
        (None, [], 1, [{}]),
        (None, ["0", "1"], 1, [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]),
        (None, ["0", "1", "2", "3", "4"], 2, ["0,1", "2,3"]),
        (3, ["0", "1"], 1, ["0", "1", "0"]),
        (1, ["0", "1"], 1, ["0"]),
    ],
)
def test_slots(jobs, gpus, per_job, expected, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    wanted = [{"CUDA_VISIBLE_DEVICES": e} if isinstance(e, str) else e for e in expected]
    assert make_slots(jobs, gpus, per_job) == wanted


@pytest.mark.parametrize(("gpus", "per_job"), [(["0"], 4), ([], 2)])
def test_more_gpus_than_there_are_cannot_be_asked_for(gpus, per_job):
    words = f"gpus_per_job={per_job}, but {len(gpus)} GPUs are visible"
    with pytest.raises(UserError, match=words):
        make_slots(2, gpus, per_job)


def test_jobs_on_a_cpu_divide_its_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert make_slots(3, [], 1) == [{"OMP_NUM_THREADS": "2"}] * 3
