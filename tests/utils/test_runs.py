import pytest

from ganforge.utils.errors import DamagedFileError, GanforgeError, UserError
from ganforge.utils.runs import Run, by_number, find_run, link_latest


def make_run(folder, *checkpoints):
    run = Run(folder)
    run.config.parent.mkdir(parents=True)
    run.config.write_text("seed: 0\n")
    for name in checkpoints:
        run.checkpoints.mkdir(exist_ok=True)
        (run.checkpoints / f"{name}.ckpt").write_bytes(b"x")
    return run


def test_exit_codes():
    assert (UserError.exit_code, DamagedFileError.exit_code) == (2, 3)
    assert issubclass(UserError, GanforgeError)
    assert issubclass(DamagedFileError, GanforgeError)


def test_places_in_a_run(tmp_path):
    run = make_run(tmp_path / "a")
    assert find_run(tmp_path / "a") == run
    assert run.samples == tmp_path / "a" / "samples"
    assert run.metrics == tmp_path / "a" / "metrics.jsonl"
    assert run.scores == tmp_path / "a" / "scores.json"


def test_a_missing_run_names_those_nearby(tmp_path):
    make_run(tmp_path / "dcgan-avatars-1")
    make_run(tmp_path / "gan-mnist-2")
    for folder in (tmp_path / "dcgan-avatar", tmp_path):
        with pytest.raises(UserError, match=r"is not a run.*dcgan-avatars-1, gan-mnist-2"):
            find_run(folder)


@pytest.mark.parametrize("name", ["nothing", "no/such/place"])
def test_without_any_run_the_error_says_how_to_make_one(name, tmp_path):
    with pytest.raises(UserError, match=f"{name} is not a run.*ganforge train"):
        find_run(tmp_path / name)


def test_a_file_is_no_run(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is not a run"):
        find_run(tmp_path / "file")


def test_checkpoints_by_name(tmp_path):
    run = make_run(tmp_path / "a", "best", "last")
    assert run.checkpoint("best").name == "best.ckpt"
    assert run.checkpoint("last").name == "last.ckpt"


def test_best_falls_back_to_last(tmp_path):
    assert make_run(tmp_path / "a", "last").checkpoint("best").name == "last.ckpt"


def test_last_never_falls_back(tmp_path):
    with pytest.raises(UserError, match=r"no checkpoint 'last.ckpt'.*train again"):
        make_run(tmp_path / "a", "best").checkpoint("last")


def test_no_checkpoint_at_all(tmp_path):
    with pytest.raises(UserError, match=r"no checkpoint 'best.ckpt'.*train again"):
        make_run(tmp_path / "a").checkpoint("best")


@pytest.mark.parametrize("name", ["bset", "", "../a"])
def test_a_misspelt_checkpoint_is_no_other(name, tmp_path):
    run = make_run(tmp_path / "a", "best", "last")
    with pytest.raises(UserError, match=f"checkpoint={name} is neither best nor last"):
        run.checkpoint(name)


def test_latest_points_to_the_newest(tmp_path):
    for name in ("a", "b"):
        link_latest(make_run(tmp_path / name, "last"))
        assert find_run(tmp_path / "latest").folder == tmp_path / name
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "latest"]


def test_latest_moves_with_its_folder(tmp_path):
    """The link is relative: outputs may be moved or copied."""
    link_latest(make_run(tmp_path / "outputs" / "a"))
    (tmp_path / "outputs").rename(tmp_path / "moved")
    assert find_run(tmp_path / "moved" / "latest").folder == tmp_path / "moved" / "a"


def test_file_systems_without_links_do_without(tmp_path, monkeypatch):
    from pathlib import Path

    def refuse(*args, **kwargs):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    link_latest(make_run(tmp_path / "a"))
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_start_that_left_nothing_moves_no_link(tmp_path):
    link_latest(make_run(tmp_path / "a", "last"))
    (tmp_path / "b").mkdir()
    link_latest(Run(tmp_path / "b"))
    assert find_run(tmp_path / "latest").folder == tmp_path / "a"


def test_files_are_ordered_by_their_numbers(tmp_path):
    names = ["step_000900.png", "step_999999.png", "step_1000000.png", "step_10000000.png"]
    assert [p.name for p in by_number(tmp_path / name for name in reversed(names))] == names
    jobs = [tmp_path / job / "x.png" for job in ("2", "10", "a")]
    assert by_number(reversed(jobs)) == jobs
