import json

import pytest

from ganforge.sweeps.manifest import Sweep
from ganforge.sweeps.process import Record
from ganforge.utils.errors import DamagedFileError, UserError


def test_what_is_written_is_read_back(tmp_path):
    sweep = Sweep.create(tmp_path / "s", ["-m", "seed=1,2"], trials=None)
    for seed in (1, 2):
        sweep.claim([f"seed={seed}"])
    sweep.update(1, Record("done", "fid", 3.5, 10, seconds=1.0, exit_code=0))
    again = Sweep.read(tmp_path / "s")
    assert again.jobs == sweep.jobs
    assert again.command == ["-m", "seed=1,2"]
    assert [job.done for job in again.jobs] == [False, True]
    assert again.jobs[0].settings == {"seed": "1"}


def test_jobs_of_an_earlier_session_are_claimed_once_by_their_overrides(tmp_path):
    first = Sweep.create(tmp_path, [], None)
    assert [first.claim(["a=1"]).number, first.claim(["a=1"]).number] == [0, 1]
    first.write()
    again = Sweep.read(tmp_path)
    numbers = [again.claim([f"a={a}"]).number for a in (1, 2, 1, 1)]
    assert numbers == [0, 2, 1, 3]


def test_a_job_that_ended_after_its_sweep_was_killed_is_claimed_as_done(tmp_path):
    """The list says that it runs, its folder that it has ended."""
    first = Sweep.create(tmp_path, [], None)
    first.claim(["seed=1"])
    first.update(0, Record("running", log=str(tmp_path / "0" / "job.log")))
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "job.json").write_text('{"state": "running"}')
    (tmp_path / "0" / "outcome.json").write_text('{"objective": "fid", "value": 2.0, "step": 4}')
    assert Sweep.read(tmp_path).claim(["seed=1"]).done


def test_a_sweep_is_not_overwritten(tmp_path):
    Sweep.create(tmp_path, [], None)
    with pytest.raises(UserError, match="resume_sweep="):
        Sweep.create(tmp_path, [], None)


def test_an_empty_folder_is_no_sweep(tmp_path):
    (tmp_path / "empty").mkdir()
    Sweep.create(tmp_path / "other", [], None)
    with pytest.raises(UserError, match=r"empty is not a sweep.*sweeps in .*: other"):
        Sweep.read(tmp_path / "empty")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"command": [], "trials": null, "jobs": [{"number": 1}]}']
)
def test_a_damaged_list_is_told(text, tmp_path):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(DamagedFileError, match=r"sweep.json cannot be read"):
        Sweep.read(tmp_path)


def test_the_file_is_whole_at_any_moment(tmp_path):
    sweep = Sweep.create(tmp_path, [], None)
    for number in range(20):
        sweep.claim([f"seed={number}"])
        sweep.write()
        assert len(json.loads((tmp_path / "sweep.json").read_text())["jobs"]) == number + 1
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.json"]


def test_a_value_that_is_no_number_is_damage(tmp_path):
    job = {"number": 0, "overrides": ["seed=1"], "state": "done", "value": "low"}
    manifest = {"version": 1, "command": ["-m", "seed=1"], "trials": None, "jobs": [job]}
    (tmp_path / "sweep.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedFileError, match="the value of job 0 is no number"):
        Sweep.read(tmp_path)
