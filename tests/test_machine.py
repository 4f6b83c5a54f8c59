"""``ganforge checks`` and ``ganforge clean``."""

from pathlib import Path

import pytest

from helpers import ganforge


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path))
    for part in ("cache", "statistics", "weights"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "file").write_bytes(bytes(2_500_000))
    return tmp_path


def test_checks_tell_what_a_report_needs(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ganforge("checks") == 0
    lines = dict(line.strip().split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["data"].strip() == str(data)
    assert lines["cache"].strip() == "2.5 MB"
    assert "avatars (shipped)" in lines["weights"]
    assert "file" in lines["weights"]
    assert "optuna" in lines["extras"]
    assert {"torch", "lightning", "device", "precision"} <= set(lines)


def test_clean_removes_what_is_named_alone(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ganforge("clean") == 0
    assert "2.5 MB" in capsys.readouterr().out
    assert (data / "cache/file").is_file()
    assert ganforge("clean", "cache") == 0
    assert "removed" in capsys.readouterr().out
    assert not (data / "cache").exists()
    assert (data / "statistics/file").is_file()
    assert (data / "weights/file").is_file()
    assert ganforge("clean", "weights") == 2
    assert "there are cache, statistics, downloads, hub" in capsys.readouterr().err
