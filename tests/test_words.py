"""Keys that are guessed: understood where they mean one key, else named."""

from pathlib import Path

import pytest
import yaml

from ganforge.config.aliases import understood
from ganforge.config.sentences import dotted_keys
from ganforge.utils.errors import UserError
from helpers import CONF, composed, draw_pictures, ganforge

TABLE = yaml.safe_load((CONF / "aliases.yaml").read_text())


@pytest.mark.parametrize(
    ("command", "typed", "meant"),
    [
        ("train", "steps=9", "trainer.max_steps=9"),
        ("train", "batch=9", "data.batch_size=9"),
        ("train", "image_size=32", "data.size=32"),
        ("train", "data.resolution=32", "data.size=32"),
        ("train", "output=there", "paths.output_dir=there"),
        ("train", "dataset=mnist", "data=mnist"),
        ("train", "experiment=horse2zebra data.path=x", "experiment=horse2zebra data.a.path=x"),
        ("train", "data=facades data_path=x", "data=facades data.a.path=x"),
        ("train", "data=streaming data.path=x", "data=streaming data.path=x"),
        ("train", "data=mnist path=x", "data=mnist data.source.folder=x"),
        ("train", "data=unpaired_folder data.source.path=x", "data=unpaired_folder data.a.path=x"),
        ("train", "data=image_folder data.root=x", "data=image_folder data.source.path=x"),
        ("train", "data=own data.source.path=x", "data=own data.source.path=x"),
        ("train", "+steps=9", "+steps=9"),
        ("train", "model=gan seed=1,2", "model=gan seed=1,2"),
        ("generate", "num=9 truncation_psi=0.5", "n=9 truncation=0.5"),
        ("evaluate", "metric=fid data.path=x", "metrics=fid data_path=x"),
        ("evaluate", "data_path=x", "data_path=x"),
        ("compare", "metrics=fid", "metric=fid"),
        ("leaderboard", "metrics=fid", "metric=fid"),
        ("export", "out=x model=y", "output=x run=y"),
        ("pack", "path=x", "data.source.path=x"),
    ],
)
def test_words_that_mean_one_key(command: str, typed: str, meant: str) -> None:
    once = understood(command, typed.split())
    assert once == meant.split()
    assert understood(command, once) == once


SENTENCES = {word for word, meaning in TABLE["train"].items() if " " in meaning}


def test_every_other_word_of_train_is_a_key_that_composes(tmp_path: Path) -> None:
    config = composed("train", ["data=image_folder", "model=dcgan"], tmp_path, tmp_path)
    for word in {*TABLE["train"]} - SENTENCES:
        (meant,) = understood("train", [f"{word}=1"])
        key = meant.partition("=")[0]
        assert (CONF / key).is_dir() or key in dotted_keys(config), word


@pytest.mark.parametrize("word", sorted(SENTENCES))
def test_words_of_several_meanings_name_the_keys(word: str) -> None:
    with pytest.raises(UserError, match=f"there is no key '{word}': .*="):
        understood("train", [f"{word}=1"])


def test_a_folder_or_zip_is_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "mnist", "some where"):
        (tmp_path / name).mkdir()
    (tmp_path / "all.ZIP").touch()
    meant = ["data=image_folder", "data.source.path=photos"]
    assert understood("train", ["data=photos"]) == meant
    assert understood("train", ["data='some where'"])[1] == "data.source.path='some where'"
    assert understood("train", ["data=all.ZIP"])[0] == "data=image_folder"
    assert understood("train", ["data=mnist"]) == ["data=mnist"]
    assert understood("train", ["data=./mnist"])[1] == "data.source.path=./mnist"
    with pytest.raises(UserError, match="no such folder or zip"):
        understood("train", ["data=other/photos"])
    with pytest.raises(UserError, match="data=photos trains on it"):
        understood("train", ["photos"])


def test_a_bare_folder_is_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a run").mkdir()
    assert understood("generate", ["a run", "n=3"]) == ["run=a run", "n=3"]
    assert understood("generate", ["nowhere"]) == ["nowhere"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "train callbacks.sample_grid.every=5",
            "did you mean 'callbacks.sample_grid.every_n_steps'? callbacks.sample_grid has",
        ),
        ("train callbacks.sample_grid.every=5", "every_n_steps=100, columns=8"),
        ("train model=gan model.generator.depht=3", "model.generator has"),
        ("explore run=x n=3", "did you mean 'tool.n'"),
        ("train lr=1e-3", "model.optimizer_generator.lr=X model.optimizer_discriminator.lr=Y"),
        ("train epochs=3", "trainer.max_steps=N"),
        ("train gpus=2", "trainer=ddp trainer.devices=N"),
        ("evaluate run=x metric=fiid", "did you mean fid"),
    ],
)
def test_wrong_keys_hear_of_the_nearest(
    words: str, told: str, capsys: pytest.CaptureFixture[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert ganforge(*words.split()) == 2
    assert told in capsys.readouterr().err


def test_pictures_are_trained_on_as_they_are_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_pictures(tmp_path / "my photos", 4)
    words = ["data=my photos", "image_size=32", "batch=4", "steps=7", "output=here", "--cfg", "job"]
    assert ganforge("train", *words) == 0
    told = capsys.readouterr().out
    for line in ("path: my photos", "size: 32", "batch_size: 4", "max_steps: 7"):
        assert line in told
