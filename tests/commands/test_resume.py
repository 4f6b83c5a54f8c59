"""``resume=``: which run goes on, with which configuration, and what is refused."""

import json
import os
import re
import shutil
import time

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from ganforge.training.resume import complete_arguments
from helpers import ganforge

RUN = [
    "experiment=gaussian1d", "trainer.max_steps=12", "trainer.log_every_n_steps=2",
    "callbacks.checkpoints.every_n_steps=4", "callbacks.theory.n_samples=50",
    "callbacks.theory.every_n_steps=6", "logger=[csv,tensorboard]",
]  # fmt: skip
MORE = ["trainer.max_steps=20", "resume.allow_change=[trainer.max_steps]"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def here(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_DATA", str(data))
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    """A run of 12 steps, and one of 20, as the command line makes them."""
    root = tmp_path_factory.mktemp("finished")
    patch = pytest.MonkeyPatch()
    patch.chdir(root)
    patch.setenv("GANFORGE_DATA", str(data))
    assert ganforge("train", *RUN, "hydra.run.dir=outputs/short") == 0
    assert ganforge("train", *RUN, MORE[0], "hydra.run.dir=outputs/long") == 0
    patch.undo()
    return root


@pytest.fixture
def short(finished, here):
    shutil.copytree(finished / "outputs" / "short", here / "outputs" / "short")
    return here / "outputs" / "short"


def state(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unfinish(folder):
    """Leave the run as a kill after its checkpoint of step 8 would have."""
    checkpoints = folder / "checkpoints"
    (checkpoints / "last.ckpt").unlink()
    assert torch.load(checkpoints / "previous.ckpt", weights_only=True)["global_step"] == 8


def test_a_finished_run_says_how_to_go_on(short, capfd):
    assert ganforge("train", "resume=outputs/short") == 2
    told = capfd.readouterr().err
    assert "is finished (12 steps)" in told
    assert "trainer.max_steps=24 resume.allow_change=[trainer.max_steps]" in told


def test_more_steps_end_where_a_longer_run_does(short, finished, capfd):
    """The commonest wish. Its end of then is left: a picture, the GIF and a row of readings."""
    assert ganforge("train", "resume=outputs/short", *MORE) == 0
    assert "Going on with outputs/short after step 12." in capfd.readouterr().out
    ours, theirs = state(short), state(finished / "outputs" / "long")
    assert ours["global_step"] == theirs["global_step"] == 20
    for part in ("state_dict", "ganforge"):
        assert str(ours[part]) == str(theirs[part])
    for key, value in theirs["state_dict"].items():
        assert torch.equal(value, ours["state_dict"][key])
    for name in ("metrics.jsonl", "csv/metrics.csv"):
        long = (finished / "outputs" / "long" / name).read_text()
        assert (short / name).read_text() == long
    # The next time, nothing has changed.
    config = OmegaConf.load(short / ".hydra" / "config.yaml")
    assert config.trainer.max_steps == 20
    assert config.resume.allow_change == []
    assert ganforge("train", "resume=outputs/short") == 2


def test_the_same_command_again_changes_nothing(short):
    unfinish(short)
    assert ganforge("train", *RUN, "resume=outputs/short") == 0
    assert state(short)["global_step"] == 12


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("data.batch_size=128", "data.batch_size: 256 → 128"),
        ("model.generator.hidden=[64]", "model.generator.hidden: [64, 64] → [64]"),
        ("logger=[]", "logger.csv._target_: ganforge.callbacks.loggers.CsvLogger → None"),
        ("+trainer.benchmark=true", "trainer.benchmark: None → True"),
    ],
)
def test_another_configuration_is_refused_with_the_difference(change, told, short, capfd):
    unfinish(short)
    before = {p: p.read_bytes() for p in sorted(short.rglob("*")) if p.is_file()}
    assert ganforge("train", "resume=outputs/short", change) == 2
    error = capfd.readouterr().err
    assert told in error
    assert "resume.allow_change=[" in error
    assert before == {p: p.read_bytes() for p in sorted(short.rglob("*")) if p.is_file()}


def test_a_group_can_be_allowed(short):
    unfinish(short)
    assert (
        ganforge("train", "resume=outputs/short", "logger=[]", "resume.allow_change=[logger]") == 0
    )
    assert state(short)["global_step"] == 12
    assert "logger=[]" in OmegaConf.load(short / ".hydra" / "overrides.yaml")


def test_where_things_lie_may_change(short, tmp_path):
    unfinish(short)
    moved = short.with_name("my run, moved")
    short.rename(moved)
    data = f"paths.data_dir={tmp_path}/elsewhere"
    assert ganforge("train", f"resume={moved}", data) == 0
    assert state(moved)["global_step"] == 12


def test_auto_starts_then_goes_on_then_starts_again(here, capfd):
    command = ["train", *RUN, "resume=auto"]
    assert ganforge(*command) == 0
    (first,) = [p for p in (here / "outputs").iterdir() if not p.is_symlink()]
    unfinish(first)
    assert ganforge(*command) == 0
    assert f"Going on with outputs/{first.name} after step 8." in capfd.readouterr().out
    assert state(first)["global_step"] == 12
    time.sleep(1.1)  # folders are named by the second
    assert ganforge(*command) == 0
    assert len([p for p in (here / "outputs").iterdir() if not p.is_symlink()]) == 2


def test_auto_takes_the_newest_run_of_the_same_configuration(short):
    unfinish(short)
    older, other, broken = (short.with_name(name) for name in ("older", "other", "broken"))
    for folder in (older, other, broken):
        shutil.copytree(short, folder)
    config = OmegaConf.load(other / ".hydra" / "config.yaml")
    config.seed = 1
    OmegaConf.save(config, other / ".hydra" / "config.yaml")
    (broken / ".hydra" / "config.yaml").write_text("model: {")
    for age, folder in enumerate((broken, other, short, older)):
        os.utime(folder / ".hydra" / "config.yaml", (1e9 - age, 1e9 - age))
    words = complete_arguments([*RUN, "resume=auto"])
    assert f"resume.run='{short}'" in words
    assert complete_arguments([*RUN, "seed=5", "resume=auto"])[-1] == "resume.auto=true"


def test_auto_goes_on_with_more_steps_where_that_is_allowed(short, capfd):
    assert ganforge("train", *RUN, "resume=auto", *MORE) == 0
    assert "Going on with outputs/short after step 12." in capfd.readouterr().out
    assert state(short)["global_step"] == 20


@pytest.mark.parametrize("variable", ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_auto_needs_a_folder_where_processes_start_together(variable, short, monkeypatch, capfd):
    monkeypatch.setenv(variable, "2")
    assert ganforge("train", *RUN, "resume=auto") == 2
    assert "name its folder, as in hydra.run.dir=outputs/NAME" in capfd.readouterr().err
    monkeypatch.setenv(variable, "1")
    assert complete_arguments([*RUN, "resume=auto"])[-1] == "resume.auto=true"


def test_auto_in_a_given_folder_means_that_folder(here):
    command = ["train", *RUN, "resume=auto", "hydra.run.dir=outputs/mine"]
    assert ganforge(*command) == 0
    unfinish(here / "outputs" / "mine")
    assert ganforge(*command) == 0
    assert state(here / "outputs" / "mine")["global_step"] == 12


def test_a_run_without_a_checkpoint_begins_anew_in_its_folder(short):
    shutil.rmtree(short / "checkpoints")
    before = (short / "metrics.jsonl").read_bytes()
    assert ganforge("train", "resume=outputs/short") == 0
    assert (short / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["resume=outputs/nothing"], "outputs/nothing is not a run"),
        (["resume="], "resume= is empty: give a path"),
        (["resume=outputs/short", "-m"], "remove --multirun"),
        (["resume=outputs/short", "resume.allow_chang=[x]"], "did you mean 'resume.allow_change'"),
    ],
)
def test_what_cannot_be_resumed(arguments, told, short, capfd):
    assert ganforge("train", *arguments) == 2
    assert told in capfd.readouterr().err


def test_lost_overrides_are_told(short, capfd):
    (short / ".hydra" / "overrides.yaml").unlink()
    assert ganforge("train", "resume=outputs/short") == 3
    assert "overrides.yaml cannot be read" in capfd.readouterr().err


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "seed: 1\n", "- [a]\n", "hello\n"])
def test_overrides_that_are_none_are_told(text, short, capfd):
    (short / ".hydra" / "overrides.yaml").write_text(text)
    assert ganforge("train", "resume=outputs/short") == 3
    assert "overrides.yaml is no list of overrides" in capfd.readouterr().err


def test_another_width_is_refused_and_the_run_stays_as_it_is(short, capfd):
    """Allowed as a change, but the saved weights have their sizes."""
    unfinish(short)
    before = everything(short)
    wide = ["model.generator.hidden=[32,64]", "resume.allow_change=[model]"]
    assert ganforge("train", "resume=outputs/short", *wide) == 2
    told = capfd.readouterr().err
    assert "do not fit the networks (" in told
    assert "64 → 32" in told
    assert everything(short) == before
    assert ganforge("train", "resume=outputs/short") == 0


def test_a_broken_picture_does_not_stop_the_end(short, capfd):
    """The film leaves it out; nothing else notices."""
    unfinish(short)
    frame = min((short / "samples").glob("*.png"))
    frame.write_bytes(frame.read_bytes()[:300])
    assert ganforge("train", "resume=outputs/short") == 0
    assert json.loads((short / "outcome.json").read_text())["step"] == 12
    assert "Traceback" not in capfd.readouterr().err


def test_curves_go_on_on_tensorboard(short):
    """Further events, in the same folder, without the steps that were taken twice."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    unfinish(short)
    assert ganforge("train", "resume=outputs/short") == 0
    files = list((short / "tensorboard").glob("events.*"))
    assert len(files) == 2
    events = EventAccumulator(str(short / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("generator/loss")] == [2, 4, 6, 8, 10, 12]
    records = [json.loads(line) for line in (short / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if "generator/loss" in r] == [2, 4, 6, 8, 10, 12]


def test_wandb_goes_on_in_the_same_run(short, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb = ["logger=wandb", "resume.allow_change=[logger,callbacks]"]
    unfinish(short)
    assert ganforge("train", "resume=outputs/short", *wandb) == 0
    kept = (short / "wandb_id.txt").read_text().strip()
    assert ganforge("train", "resume=outputs/short", *MORE) == 0
    assert (short / "wandb_id.txt").read_text().strip() == kept
    names = {path.name for path in (short / "wandb").glob("offline-run-*")}
    assert {re.sub(r".*-", "", name) for name in names} == {kept}


def pictures(folder, seed):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(24):
        image = rng.integers(256, size=(32, 32, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{number}.png")


FOLDER_RUN = [
    "model=gan", "data=image_folder", "data.source.path=base", "data.size=32", "data.batch_size=4",
    "model.generator.hidden=[8]", "model.discriminator.hidden=[8]", "callbacks=[ema,checkpoints]",
    "trainer.max_steps=2", "logger=[]", "hydra.run.dir=run",
]  # fmt: skip


def test_a_run_finds_its_data_from_wherever_it_is_gone_on_with(here, monkeypatch, capfd):
    """Another folder of the same name lies there; changed pictures are told."""
    pictures(here / "base", 0)
    pictures(here / "there" / "base", 1)
    assert ganforge("train", *FOLDER_RUN) == 0
    run, first = here / "run", json.loads((here / "run" / "data.json").read_text())
    assert f"data.source.path='{here}/base'" in OmegaConf.load(run / ".hydra" / "overrides.yaml")
    monkeypatch.chdir(here / "there")
    more = ["trainer.max_steps=4", "resume.allow_change=[trainer.max_steps]"]
    assert ganforge("train", f"resume={run}", *more) == 0
    assert json.loads((run / "data.json").read_text()) == first
    assert ganforge("evaluate", f"run={run}", "n=16", "features=cnn_cifar10", "metrics=basic") == 0
    assert "are not those" not in capfd.readouterr().err
    # Another folder is another configuration, and other pictures are other data.
    words = [f"resume={run}", "trainer.max_steps=6"]
    allow = "resume.allow_change=[trainer.max_steps,data.source.path]"
    assert ganforge("train", *words, more[1], "data.source.path=base") == 2
    assert f"data.source.path: {here}/base → {here}/there/base" in capfd.readouterr().err
    shutil.rmtree(here / "base")
    shutil.copytree(here / "there" / "base", here / "base")
    assert ganforge("train", *words, more[1]) == 2
    told = capfd.readouterr().err
    assert f"the data are not those that {run} was trained on (train: {first['train'][:8]}" in told
    assert ganforge("evaluate", f"run={run}", "n=16", "features=cnn_cifar10", "metrics=basic") == 0
    assert "note: the data are not those that" in capfd.readouterr().err
    assert ganforge("train", *words, allow, "data.source.path=base") == 0


def test_auto_finds_a_run_whose_data_were_named_from_here(here, capfd):
    pictures(here / "base", 0)
    command = ["train", *FOLDER_RUN[:-1], "resume=auto"]
    assert ganforge(*command) == 0
    (run,) = [path for path in (here / "outputs").iterdir() if not path.is_symlink()]
    (run / "outcome.json").unlink()
    assert ganforge(*command) == 0
    assert f"Finishing outputs/{run.name}" in capfd.readouterr().out
