"""What comes from others neither executes nor reaches out: bundles, runs, data sets, folders."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from ganforge.config.secrets import hide_secrets, masked, plain_for_loggers, without_secrets
from ganforge.config.trusted import refuse_untrusted
from ganforge.scoring.page import Pictures
from ganforge.sweeps.jobs import resumed_arguments
from ganforge.sweeps.manifest import Sweep
from ganforge.sweeps.process import JOB
from ganforge.utils.errors import UserError
from ganforge.utils.own_classes import own_classes
from ganforge.utils.runs import Run
from helpers import TINY, TINY_AVATARS, composed, ganforge, options, tiny_run

EXECUTED = "open('executed', 'w').close()\n"
SMALL = [*TINY_AVATARS, *TINY, "logger=[]", "trainer.accelerator=cpu", "model.generator.width=4",
         "model.discriminator.width=4", "callbacks.image_quality=null"]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(SMALL, tmp_path_factory.mktemp("foreign") / "run")


@pytest.fixture(scope="module")
def bundle(run):
    assert ganforge("export", f"run={run}", f"output={run.parent}/bundle", "picture=false") == 0
    return run.parent / "bundle"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "data"))


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def edited(run, name, change):
    """A copy of a run whose configuration is another one."""
    folder = shutil.copytree(run, run.parent / name, dirs_exist_ok=True)
    config = OmegaConf.load(folder / ".hydra" / "config.yaml")
    OmegaConf.set_struct(config, False)
    change(config)
    OmegaConf.save(config, folder / ".hydra" / "config.yaml")
    return folder


@pytest.mark.parametrize("start", ["typed", "job"])
def test_modules_beside_a_bundle_are_not_imported(start, bundle, tmp_path):
    for name in ("tabulate", "defusedxml", "queue", "imageio_ffmpeg", "hydra_plugins/mine/plugin"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(EXECUTED)
    typed = [Path(sys.executable).with_name("ganforge"), "generate", f"run={bundle}", "n=1"]
    line = typed if start == "typed" else [*JOB, "nowhere"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == (0 if start == "typed" else 3), done.stderr
    assert not (tmp_path / "executed").exists()


def test_jobs_do_not_begin_where_they_were_typed():
    assert "-P" in JOB


def test_the_current_folder_is_last_and_only_for_a_while(tmp_path):
    before = list(sys.path)
    with own_classes():
        assert sys.path == [*before, str(tmp_path)]
    assert sys.path == before


def test_a_command_tells_its_children_too(monkeypatch):
    from ganforge.utils.own_classes import leave_current_folder

    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setattr(sys, "path", [os.getcwd(), "elsewhere"])
    leave_current_folder()
    assert sys.path == ["elsewhere"]
    assert os.environ["PYTHONSAFEPATH"] == "1"


HOSTILE = {
    "a function": lambda c: c.model.update({"_target_": "os.mkdir", "path": "executed"}),
    "deep inside": lambda c: c.model.objective.update({"x": {"_target_": "builtins.print"}}),
    "what ganforge imports": lambda c: c.model.update({"_target_": "ganforge.cli.Path"}),
    "by reference": lambda c: c.update({"t": "os.mkdir"}) or c.model.update({"_target_": "${t}"}),
    "elsewhere, by reference": lambda c: (
        c.update({"m": {"_target_": "os.mkdir"}}) or c.model.update({"generator": "${m}"})
    ),
    "a server": lambda c: c.data.update({"storage_options": {"endpoint_url": "http://x"}}),
    "an address": lambda c: c.data.update({"path": "s3://bucket/x"}),
    "a resolver": lambda c: c.model.update({"latent_dim": "${os.system:x}"}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_run_from_elsewhere_executes_nothing(what, run, capfd):
    folder = edited(run, f"hostile {what}", HOSTILE[what])
    for command in ("generate", "evaluate", "export", "explore"):
        assert ganforge(command, f"run={folder}") == 2
        assert "trusted=true" in capfd.readouterr().err.strip().splitlines()[-1]
    assert not Path("executed").exists()


def test_whoever_trusts_a_run_says_so(run, capfd):
    def own(config):
        config.model.generator._target_ = "mine.Mine"

    Path("mine.py").write_text(
        "from ganforge.networks.dcgan import DCGANGenerator\nclass Mine(DCGANGenerator): pass\n"
    )
    folder = edited(run, "own", own)
    assert ganforge("generate", f"run={folder}", "n=1", "output=out") == 2
    assert "mine.Mine" in capfd.readouterr().err
    assert ganforge("generate", f"run={folder}", "n=1", "output=out", "trusted=true") == 0


def test_runs_that_were_trained_here_are_known_wherever_they_lie(tmp_path):
    Path("own_net.py").write_text(
        "from ganforge.networks.dcgan import DCGANGenerator\nclass Mine(DCGANGenerator): pass\n"
    )
    words = [*SMALL, "model.generator._target_=own_net.Mine", "hydra.run.dir=first"]
    assert ganforge("train", *words) == 0
    Path("first").rename("moved")
    assert ganforge("generate", "run=moved", "n=1", "output=out") == 0
    config = Path("moved/.hydra/config.yaml")
    config.write_text(config.read_text() + "\nmore: 1\n")
    assert ganforge("generate", "run=moved", "n=1", "output=out") == 2


@pytest.mark.parametrize("experiment", options("experiment"))
def test_configurations_of_ganforge_need_no_trust(experiment, tmp_path):
    from ganforge.config.trust import _suspicious

    config = composed("train", [f"experiment={experiment}"], tmp_path, tmp_path)
    assert _suspicious(OmegaConf.to_container(config, resolve=False), "") is None


def test_a_bundle_with_a_configuration_of_hydra_is_a_bundle(bundle):
    shutil.copytree(bundle, "both")
    Path("both/.hydra").mkdir()
    Path("both/.hydra/config.yaml").write_text("model: {_target_: os.mkdir, path: executed}\n")
    for command in (["generate", "n=1"], ["evaluate", "n=4", "path_pairs=0", "metrics=basic"]):
        ganforge(*command, "run=both")
    assert ganforge("train", "resume=both") == 2
    Path("both/config.json").unlink()
    assert ganforge("generate", "run=both", "n=1") == 2
    assert not Path("executed").exists()


def test_overrides_of_a_foreign_run_set_nothing_of_hydra(run, capfd):
    folder = shutil.copytree(run, "theirs")
    words = ["hydra.launcher._target_=os.mkdir"]
    OmegaConf.save(OmegaConf.create(words), Path(folder) / ".hydra" / "overrides.yaml")
    assert ganforge("train", "resume=theirs") == 2
    assert "resume.trusted=true" in capfd.readouterr().err


def test_commands_leave_a_bundle_as_it_was_given(bundle):
    before = contents(bundle)
    assert ganforge("generate", f"run={bundle}", "n=1") == 0
    assert contents(bundle) == before
    assert Path("outputs/bundles/bundle/generated/seed_000000.png").is_file()


def test_a_bundle_names_no_server_and_no_keys():
    data = {"_target_": "ganforge.data.streaming.StreamingDataModule"}
    for entry in ({"storage_options": {"endpoint_url": "x"}}, {"name": "http://x"}):
        with pytest.raises(UserError, match="place in the"):
            refuse_untrusted({"data": data | entry}, "x")


SECRET = {"data": {"storage_options": {"secret": "hunter2", "key": "${oc.env:KEY}"}, "size": 3}}


def test_secrets_are_not_written_down(tmp_path, monkeypatch):
    run = Run(tmp_path / "run")
    run.config.parent.mkdir(parents=True)
    word = "data.storage_options.secret=hunter2"
    OmegaConf.save(OmegaConf.create(SECRET), run.config)
    OmegaConf.save(OmegaConf.create([word, "seed=1"]), run.config.with_name("overrides.yaml"))
    hydra = {"hydra": {"overrides": {"task": ["data.storage_options={secret: hunter2}"]}}}
    OmegaConf.save(OmegaConf.create(hydra), run.config.with_name("hydra.yaml"))
    monkeypatch.setattr(sys, "argv", ["ganforge train", word])
    monkeypatch.setenv("KEY", "hunter2")
    hide_secrets(run)
    assert not [p for p in run.folder.rglob("*") if p.is_file() and "hunter2" in p.read_text()]
    assert OmegaConf.load(run.config).data.storage_options.key == "hunter2"  # by its name
    assert "hunter2" not in str([*sys.argv, plain_for_loggers(OmegaConf.create(SECRET))])
    assert masked(SECRET)["data"]["size"] == 3


def test_a_sweep_keeps_no_keys(capfd):
    words = ["train", "-m", "seed=0,1", "data=streaming", "data.path=x"]
    assert ganforge(*words, "data.storage_options={secret: hunter2}") == 2
    assert "oc.env" in capfd.readouterr().err
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index["chunks"][0].update(filename="../../x.bin"),
        lambda index: index["chunks"][0].update(filename="/etc/passwd"),
        lambda index: index["config"].update(data_format=["pickle"]),
        lambda index: index["chunks"][0].update(chunk_size="many"),
        lambda index: index.update(chunks=7),
        lambda index: index["ganforge"].update(count=10**9),
    ],
)
def test_a_packed_data_set_names_no_other_files_and_no_pickles(change, tmp_path):
    from ganforge.data.avatars import Avatars
    from ganforge.data.packing import pack
    from ganforge.data.stream import Stream

    pack(Avatars(4, 2, workers=1), 32, 3, tmp_path / "packed", 1)
    path = tmp_path / "packed" / "train" / "index.json"
    index = json.loads(path.read_text())
    assert "pickle" not in index["config"]["data_format"]
    change(index)
    path.write_text(json.dumps(index))
    with pytest.raises(UserError, match="was not written by this ganforge pack"):
        Stream(str(path.parent), tmp_path / "cache", 4, None, None)


def test_labels_of_a_packed_data_set_are_no_pickles(tmp_path):
    from ganforge.data.packing import _samples
    from ganforge.data.source import Chunk

    (sample,) = _samples(Chunk(np.zeros((1, 3, 8, 8), np.uint8), np.array([3])))
    assert sample["label"].shape == (1,)


def test_a_picture_of_a_foreign_run_is_a_png_or_none(tmp_path):
    for name, data in {"a.png": b"%!PS-Adobe-3.0 EPSF-3.0\n(x) run\n", "b.png": b""}.items():
        (tmp_path / name).write_bytes(data)
        assert "cannot be read" in Pictures(1).cell(tmp_path / name)


def test_a_sweep_from_elsewhere_sets_nothing_of_hydra(tmp_path, monkeypatch):
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "cache"))
    words = ["-m", "seed=1,2", "hydra.launcher._target_=os.mkdir"]
    for folder, own in (("own", words), ("other", [*words, "data.size=32"])):
        Sweep.create(tmp_path / folder, own, None)
    assert resumed_arguments([f"resume_sweep={tmp_path / 'own'}"])[:3] == words
    manifest = tmp_path / "other" / "sweep.json"
    manifest.write_text(manifest.read_text().replace("os.mkdir", "os.rmdir"))
    foreign = f"resume_sweep={tmp_path / 'other'}"
    with pytest.raises(UserError, match=r"hydra\.launcher\._target_=os\.rmdir.*resume\.trusted"):
        resumed_arguments([foreign])
    assert "resume.trusted=true" in resumed_arguments([foreign, "resume.trusted=true"])


def test_secrets_are_masked_from_the_first_write_on():
    config = OmegaConf.create(SECRET)
    assert without_secrets(config).data == {
        "storage_options": {"secret": "masked", "key": "${oc.env:KEY}"}, "size": 3
    }  # fmt: skip
    assert without_secrets(OmegaConf.create({"data": {"size": 3}})) == {"data": {"size": 3}}
