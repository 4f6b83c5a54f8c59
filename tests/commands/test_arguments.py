"""Paths as they are typed, flags anywhere, and what Hydra's grammar makes of them."""

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from ganforge.config.arguments import as_typed, prepared, quoted, unquoted
from ganforge.utils.errors import UserError
from helpers import TINY, draw_pictures, ganforge

ODD = ["Bücher", "photos (1)", "a=b", "it's", "#1", "{x}", "[set]", "a, b", "x~", "a[/x]", "$HOME",
       'say "hi"', "back\\slash", "ends\\", "null.d", "c:d", "100%", "a;b", "*", " lead", "日本",
       "true", "1e3", "-1", "?"]  # fmt: skip


def read(word: str) -> object:
    """What Hydra makes of an override."""
    return OverridesParser.create().parse_override(word).value()


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("key", ["run", "data.source.path", "+data.a.path", "hydra.run.dir",
                                 "resume", "features.weights", "name"])  # fmt: skip
def test_the_value_of_a_path_is_taken_as_typed(key: str, name: str) -> None:
    once = as_typed(f"{key}={name}")
    assert read(once) == name
    assert as_typed(once) == once
    assert unquoted(once.partition("=")[2]) == name


@given(st.text(min_size=1).filter(lambda text: text.strip("'\" ")))
def test_any_text_is_quoted_and_unquoted(text: str) -> None:
    assert read(f"run={quoted(text)}") == text
    assert unquoted(quoted(text)) == text


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("output=null", None),
        ("run='photos (1)'", "photos (1)"),
        ('run="photos (1)"', "photos (1)"),
        ("run='it\\'s'", "it's"),
        ("run=12", "12"),
        ("run=it's'", "it's'"),
        ("runs=[a,b]", ["a", "b"]),
        ("runs=[photos (1), 'a, b',it's]", ["photos (1)", "a, b", "it's"]),
        ("tool.images=[a (1).png,b.png]", ["a (1).png", "b.png"]),
        ("tool.images=32", 32),
        ("class=7", 7),
        ("class=sad (2)", "sad (2)"),
        ("data.source.path=${paths.data_dir}/x", "${paths.data_dir}/x"),
        ("data.path=s3://bucket/faces", "s3://bucket/faces"),
        ("data.source.path=a,b", "a,b"),
    ],
)
def test_what_has_a_meaning_keeps_it(word: str, value: object) -> None:
    assert read(as_typed(word)) == value


@pytest.mark.parametrize(
    "word", ["data.size=[32", "seed=1,2", "~data.a.attributes.glasses", "model=gan", "loss={a: b}"]
)
def test_other_keys_are_left_to_hydra(word: str) -> None:
    assert as_typed(word, sweeping=True) == word


def test_a_sweep_varies_a_path_unless_a_folder_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    word = "data.source.path=it's,photos (1)"
    assert [each.text for each in read(as_typed(word, sweeping=True)).list] == [
        "it's", "photos (1)"
    ]  # fmt: skip
    assert as_typed("hydra.sweep.dir=a,b", sweeping=True) == "hydra.sweep.dir='a,b'"
    assert as_typed("data.source.path=choice(a,b)", sweeping=True).endswith("=choice(a,b)")
    again = as_typed(word, sweeping=True)
    assert as_typed(again, sweeping=True) == again
    (tmp_path / "it's,photos (1)").mkdir()
    assert read(as_typed(word, sweeping=True)) == "it's,photos (1)"


def test_home_is_where_a_shell_would_find_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/some one")
    assert read(as_typed("run=~/a (1)")) == "/home/some one/a (1)"
    assert read(as_typed("runs=[~/a,~/b]")) == ["/home/some one/a", "/home/some one/b"]


@pytest.mark.parametrize("word", ["run=", "run=''", "data.source.path=", "hydra.run.dir=''"])
def test_an_empty_path_is_told(word: str) -> None:
    with pytest.raises(UserError, match="is empty: give a path, or leave it out"):
        as_typed(word)


def test_a_folder_that_looks_like_a_reference_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "${x}").mkdir()
    with pytest.raises(UserError, match="names another key"):
        as_typed("data.source.path=${x}")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a=1", "-m", "b=2"], ["-m", "a=1", "b=2"]),
        (["a=1", "b=2", "--multirun"], ["--multirun", "a=1", "b=2"]),
        (["a=1", "--config-dir", "x=1", "b=2"], ["--config-dir", "x=1", "a=1", "b=2"]),
        (["a=1", "--cfg=job", "~b", "+c=2"], ["--cfg=job", "a=1", "~b", "+c=2"]),
        (["a=1", "--cfg", "job", "a=1"], ["--cfg", "job", "a=1", "a=1"]),
    ],
)
def test_flags_stand_anywhere(words: list[str], expected: list[str]) -> None:
    assert prepared("train", words) == expected
    assert prepared("train", expected) == expected


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--mulitrun"], "no flag --mulitrun"),
        (["--cfg", "jobs"], "jobs"),
        (["--config-dir"], "expected one argument"),
        (["run=\udcff"], "no text in UTF-8"),
    ],
)
def test_wrong_flags_and_bytes_are_one_sentence(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ganforge("train", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ganforge: ")
    assert told in line


def test_folders_of_compare_are_taken_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").mkdir()
    words = ["a=b", "--cfg", "job", "it's", "metric=fid"]
    assert prepared("compare", words) == ["--cfg", "job", "metric=fid", "runs=['a=b','it\\'s']"]


def test_a_run_of_an_odd_name_goes_through_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes that Hydra, rich and a shell read as something else; what is printed can be pasted."""
    odd = "it's (1) [/x], a=b #{x}~ $HOME Bücher"
    folder = tmp_path / odd
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    draw_pictures(folder / odd, 12)
    small = ["model.generator.width=4", "model.discriminator.width=4", "trainer.accelerator=cpu"]
    data = ["data=image_folder", f"data.source.path={odd}", "data.size=32", "data.batch_size=4"]
    assert ganforge("train", *data, *small, *TINY, "logger=[]", f"hydra.run.dir={odd}/run") == 0
    report = capsys.readouterr().out
    commands = [shlex.split(line) for line in report.partition("Next")[2].splitlines() if line]
    assert commands[0][1:] == ["-m", "webbrowser", f"{odd}/run/report.html"]
    (drawing,) = (words for words in commands if "generate" in words)
    assert drawing[1:] == ["generate", f"run={odd}/run", "n=64", "seed=7"]
    assert ganforge("generate", drawing[2], "n=2", f"output={odd}, made") == 0
    assert (folder / f"{odd}, made/seed_000000.png").is_file()
    more = ["trainer.max_steps=8", "resume.allow_change=[trainer.max_steps]"]
    assert ganforge("train", *more, f"resume={odd}/run") == 0
    assert ganforge("evaluate", f"run={odd}/run", "n=4", "metrics=basic", "path_pairs=0") == 0
    assert ganforge("leaderboard", odd) == 0
    assert f"{odd}/leaderboard.html" in capsys.readouterr().out
