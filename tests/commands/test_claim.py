"""A run's folder belongs to one run: nothing of it is touched by another one, however it starts."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from omegaconf import OmegaConf

from ganforge.training.claim import take
from ganforge.utils.runs import Run
from helpers import composed, ganforge

RUN = [
    "train", "experiment=gaussian1d", "trainer.max_steps=4", "callbacks.theory.n_samples=50",
    "callbacks.checkpoints.every_n_steps=2", "logger=[csv]",
]  # fmt: skip
NOW = "hydra.run.dir='outputs/r-${now:%Y}'"  # the same second, without a clock


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def here(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_DATA", str(data))
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("trained")
    patch = pytest.MonkeyPatch()
    patch.chdir(root)
    patch.setenv("GANFORGE_DATA", str(data))
    assert ganforge(*RUN, "hydra.run.dir=first") == 0
    patch.undo()
    return root / "first"


@pytest.fixture
def first(trained, here):
    return shutil.copytree(trained, here / "first")


def everything(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def saved(folder):
    return OmegaConf.load(folder / ".hydra" / "config.yaml")


@pytest.mark.parametrize("key", ["hydra.run.dir", "paths.output_dir"])
def test_another_run_is_refused_and_every_byte_stays(key, first, here, capfd):
    before = everything(here)
    assert ganforge(*RUN, "seed=2", f"{key}=first") == 2
    told = capfd.readouterr().err
    assert "first holds a run already" in told
    assert "ganforge train resume=first, or name another folder: hydra.run.dir=FOLDER" in told
    assert everything(here) == before


@pytest.mark.parametrize("left", [[".hydra"], ["checkpoints"], ["metrics.jsonl"], ["scores.json"]])
def test_a_part_of_a_run_is_one(left, first, here):
    for path in first.iterdir():
        if path.name not in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (first / "scores.json").write_text("[]") if left == ["scores.json"] else None
    before = everything(here)
    assert ganforge(*RUN, "hydra.run.dir=first") == 2
    assert everything(here) == before


def test_neither_a_sweep_nor_a_bundle_is_overwritten(here, capfd):
    for name in ("sweep.json", "model.safetensors"):
        (here / name[:5]).mkdir()
        (here / name[:5] / name).write_text("{}")
        assert ganforge(*RUN, f"hydra.run.dir={name[:5]}") == 2
        assert ganforge(*RUN, "-m", "seed=1,2", f"hydra.sweep.dir={name[:5]}") == 2
    told = capfd.readouterr().err
    assert told.count("go on with it by resume_sweep=sweep") == 2
    assert sorted(everything(here)) == ["model/model.safetensors", "sweep/sweep.json"]


def test_names_of_the_same_second_get_numbers_and_each_its_own_configuration(here):
    for seed in (5, 6, 7):
        assert ganforge(*RUN, NOW, f"seed={seed}") == 0
    folders = sorted(p for p in (here / "outputs").iterdir() if not p.is_symlink())
    year = folders[0].name
    assert [p.name for p in folders] == [year, f"{year}-1", f"{year}-2"]
    assert [saved(folder).seed for folder in folders] == [5, 6, 7]
    assert all((folder / "checkpoints" / "last.ckpt").is_file() for folder in folders)
    assert (here / "outputs" / "latest").resolve() == folders[2]
    assert ganforge("train", f"resume=outputs/{year}-1") == 2  # composed from its own settings


def test_of_many_at_once_one_has_the_folder(tmp_path):
    count = 8
    config, barrier = composed("train", RUN[1:], tmp_path / "x", tmp_path), Barrier(count)

    def start(number):
        barrier.wait()
        return take(tmp_path / "x", config)

    with ThreadPoolExecutor(count) as pool:
        assert sum(pool.map(start, range(count))) == 1
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == [".hydra"]
    names = sorted(path.name for path in (tmp_path / "x" / ".hydra").iterdir())
    assert names == ["config.yaml", "hydra.yaml", "overrides.yaml"]


def test_the_folder_that_is_named_is_the_one_that_is_used(here):
    assert ganforge(*RUN, "paths.output_dir=mine") == 0
    assert saved(here / "mine").seed == 0
    assert (here / "mine" / "checkpoints" / "last.ckpt").is_file()
    assert not (here / "outputs").exists()


def test_what_lies_in_a_folder_already_stays(here):
    (here / "mine").mkdir()
    (here / "mine" / "slurm-1.out").write_text("begin\n")
    assert ganforge(*RUN, "hydra.run.dir='mine'") == 0
    assert (here / "mine" / "slurm-1.out").read_text() == "begin\n"


@pytest.mark.parametrize(
    "wrong",
    [
        ["trainer.max_steps=0"],
        ["model.generator.hidden=[0]", "seed=-1"],
        ["data=image_folder", "model=gan", "data.source.path=nowhere", "data.size=32"],
        ["callbacks.checkpoints.signals=[NOTHING]"],
    ],
)
def test_a_failed_start_leaves_nothing_and_latest_alone(wrong, here):
    assert ganforge(*RUN, "hydra.run.dir=outputs/good") == 0
    before = everything(here)
    for folder in (NOW, "hydra.run.dir=outputs/other", "hydra.run.dir=outputs/good"):
        assert ganforge(*RUN, *wrong, folder) == 2
    assert everything(here) == before
    assert (here / "outputs" / "latest").resolve() == here / "outputs" / "good"
    # The same folder serves once the mistake is mended.
    assert ganforge(*RUN, "hydra.run.dir=outputs/other") == 0


def test_the_same_script_twice_is_safe(first, here, capfd):
    """A fixed folder and resume=auto, as docs/scale.md has it."""
    script = [*RUN, "resume=auto", "hydra.run.dir=second"]
    assert ganforge(*script) == 0
    before = everything(here)
    assert ganforge(*script) == 2
    assert "second is finished (4 steps)" in capfd.readouterr().err
    assert everything(here) == before


def test_a_run_that_trains_is_told_from_one_that_lies_there(first, here, capfd):
    from ganforge.training.locks import locked

    with locked(Run(first)):
        before = everything(here)
        assert ganforge(*RUN, "hydra.run.dir=first") == 2
        assert "first is being trained by another process" in capfd.readouterr().err
    assert everything(here) == before


def test_a_folder_that_cannot_be_written_is_told(here, capfd):
    (here / "file").write_text("x")
    assert ganforge(*RUN, "hydra.run.dir=file/run") == 2
    assert ganforge(*RUN, "hydra.run.dir=file") == 2
    assert capfd.readouterr().err.count("cannot be used") == 2
    assert everything(here) == {"file": b"x"}


def test_ranks_that_others_start_write_nothing(here, monkeypatch):
    from ganforge.cli import for_this_rank

    monkeypatch.setenv("SLURM_PROCID", "1")
    assert for_this_rank(["seed=1"]) == ["seed=1", "hydra.run.dir=."]
    assert for_this_rank(["hydra.run.dir=x"]) == ["hydra.run.dir=x"]


def test_sweeps_of_the_same_second_get_folders_of_their_own(here, monkeypatch):
    from ganforge.sweeps import process

    stub = here / "stub.py"
    stub.write_text("import json, sys; json.dump({'objective': 'w', 'value': 1.0, 'step': 1},"
                    " open(sys.argv[1] + '/outcome.json', 'w'))")  # fmt: skip
    monkeypatch.setattr(process, "JOB", (os.sys.executable, str(stub)))
    name = "hydra.sweep.dir='sweeps/s-${now:%Y}'"
    for seeds in ("1,2", "3,4"):
        assert ganforge(*RUN, "-m", f"seed={seeds}", name) == 0
    one, two = sorted((here / "sweeps").iterdir())
    assert two.name == f"{one.name}-1"
    jobs = [saved(sweep / job) for sweep in (one, two) for job in "01"]
    assert [job.seed for job in jobs] == [1, 2, 3, 4]
    assert (two / "ranking.txt").is_file()
    assert ganforge("train", "resume_sweep=" + str(two), "seed=3,4,5") == 0
    assert saved(two / "2").seed == 5


@pytest.mark.slow
def test_processes_of_the_same_second_have_a_whole_run_each(here):
    seeds = (5, 6, 7)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    starts = [
        subprocess.Popen([sys.executable, "-m", "ganforge", *RUN, NOW, f"seed={seed}"], cwd=here,
                         env=environment, stdout=subprocess.DEVNULL)
        for seed in seeds
    ]  # fmt: skip
    assert [start.wait(300) for start in starts] == [0, 0, 0]
    folders = [path for path in (here / "outputs").iterdir() if not path.is_symlink()]
    assert {saved(folder).seed for folder in folders} == set(seeds)
    assert len(folders) == 3
    for folder in folders:
        assert Run(folder).outcome.is_file()
        assert (folder / "checkpoints" / "last.ckpt").is_file()
        assert len((folder / "metrics.jsonl").read_text().splitlines()) > 0
    assert (here / "outputs" / "latest").resolve() in folders


@pytest.mark.parametrize("name", ["a/b/../../../x", "..", "'../x'", "../x,y"])
def test_no_name_leads_out_of_the_outputs(name, here, capfd):
    sweep = ["-m", "seed=1,2"] if "," in name else []
    assert ganforge(*RUN, *sweep, f"name={name}") == 2
    assert "leads out of paths.outputs" in capfd.readouterr().err
    assert list(here.iterdir()) == []


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root may own by another name"
)
def test_a_cache_of_another_owner_is_one_sentence(here):
    """Root that may not overrule permissions stands for a user who does not own the cache."""
    (here / "cache").mkdir(mode=0o755)
    os.chown(here / "cache", 65534, 65534)
    weak = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    environment = {**os.environ, "GANFORGE_DATA": str(here / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*weak, sys.executable, "-m", "ganforge", *RUN], cwd=here,
                          env=environment, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("ganforge: ") == 1
    assert "Permission denied" in done.stderr
    assert str(here / "cache") in done.stderr
    assert "Traceback" not in done.stderr
