"""Damaged files, torn lines and full disks: the run goes on from what is good."""

import json
import os
import random
import shutil
import subprocess

import pytest
import torch
from fault_harness import (
    Lab,
    damage,
    kill_in_step,
    outcome,
    overrides_of,
    slow_disk,
)

from ganforge.training.resume import newest_state
from ganforge.utils.checkpoint_files import read_sums
from ganforge.utils.runs import Run


@pytest.fixture(scope="module")
def killed(data, tmp_path_factory):
    """A run that was killed in step 11: checkpoints of 8 and 4, records up to 9."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    Lab(data, overrides_of("gan")).run(folder, fault=kill_in_step(11))
    assert newest_state(Run(folder)).step == 8
    return folder


@pytest.fixture
def run(killed, tmp_path):
    """A copy of it, to be harmed."""
    return Run(shutil.copytree(killed, tmp_path / "run"))


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["last"], marks=pytest.mark.slow),
        pytest.param(["last", "previous"], marks=pytest.mark.slow),
        ["last", "previous", "best"],
    ],
    ids=len,
)
def test_the_newest_good_checkpoint_is_found(names, run, lab, whole):
    rng = random.Random(0)
    for name in names:
        damage(run.checkpoints / f"{name}.ckpt", rng)
    state = newest_state(run)
    left = {"previous": 4} if "previous" not in names else {}
    if "best" not in names:
        left["best"] = torch.load(run.checkpoints / "best.ckpt", weights_only=True)["global_step"]
    assert (state.step if state else 0) == max(left.values(), default=0)
    assert lab.run(run.folder, resume=True) == [0]
    told = run.folder.with_suffix(".0.log").read_text()
    assert told.count("is damaged and left aside") == len(names)
    assert outcome(run.folder) == whole("gan")


def test_every_flipped_byte_is_seen(run):
    """Zip files may be read with wrong bytes in them: the hash tells."""
    path = run.checkpoints / "last.ckpt"
    content = bytearray(path.read_bytes())
    for place in random.Random(1).sample(range(len(content)), 40):
        content[place] ^= 1
        path.write_bytes(content)
        assert newest_state(run).path != path
        content[place] ^= 1
    path.write_bytes(content)
    assert newest_state(run).path == path


def test_checkpoints_without_hashes_are_taken_if_they_can_be_read(run):
    (run.checkpoints / "SHA256SUMS").unlink()
    assert newest_state(run).step == 8
    damage(run.checkpoints / "last.ckpt", random.Random(2))
    (run.checkpoints / "last.ckpt").write_bytes(b"half")
    assert newest_state(run).path.name != "last.ckpt"


def test_hashes_are_those_of_sha256sum(run):
    assert set(read_sums(run.checkpoints)) == {"last.ckpt", "previous.ckpt", "best.ckpt"}
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=run.checkpoints)
    assert done.returncode == 0


def test_a_metrics_file_torn_at_any_byte(run, lab, whole):
    """What a checkpoint needs of it is on the disk; all beyond may be torn or lost."""
    lines = run.metrics.read_bytes().splitlines(keepends=True)
    needed = sum(len(line) for line in lines if json.loads(line)["step"] <= 8)
    torn = b"".join(lines)[: random.Random(3).randrange(needed + 1, sum(map(len, lines)))]
    run.metrics.write_bytes(torn)
    shutil.rmtree(run.folder / "csv")
    (run.samples / ".partial-1-step_000010.png").write_bytes(b"half")
    assert lab.run(run.folder, resume=True) == [0]
    assert outcome(run.folder) == whole("gan")


def test_a_state_that_could_not_be_loaded_is_refused_when_it_is_saved(
    tiny_gan, tiny_data, tiny_trainer, tmp_path
):
    from lightning.pytorch import Callback

    from ganforge.callbacks.checkpoints import Checkpoints
    from ganforge.utils.errors import UserError

    class Clever(Callback):
        def state_dict(self):
            return {"random": random.Random(0)}

    trainer = tiny_trainer(max_steps=2, callbacks=[Clever(), Checkpoints(tmp_path / "c")])
    with pytest.raises(UserError, match="must give tensors and plain values"):
        trainer.fit(tiny_gan(), datamodule=tiny_data())
    assert os.listdir(tmp_path / "c") == []


@pytest.mark.slow
def test_slow_disks_are_waited_for(lab, whole, tmp_path):
    assert lab.run(tmp_path / "run", fault=slow_disk(0.05, seed=0)) == [0]
    assert outcome(tmp_path / "run") == whole("gan")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with eight megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except OSError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip("mounting a small file system is not permitted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize(
    ("logger", "free_kb"),
    [
        ("[csv,tensorboard]", 20),
        *(pytest.param("[csv]", k, marks=pytest.mark.slow) for k in (20, 300, 900, 1600)),
        *(pytest.param("[tensorboard]", k, marks=pytest.mark.slow) for k in (20, 300, 900, 1600)),
    ],
)
def test_a_full_disk_is_one_sentence_and_harms_nothing(free_kb, logger, data, whole, small_disk):
    folder = small_disk / "run"
    folder.with_suffix(".0.log").symlink_to(small_disk.parent / "log")  # elsewhere there is room
    lab = Lab(data, [*overrides_of("gan"), f"logger={logger}"])
    assert lab.run(folder, fault=kill_in_step(6))[0] < 0
    ballast = small_disk / "ballast"
    left = shutil.disk_usage(small_disk).free - 1024 * free_kb
    ballast.write_bytes(bytes(max(left, 0)))
    before = newest_state(Run(folder)).step
    assert lab.run(folder, resume=True) == [2]
    told = folder.with_suffix(".0.log").read_text()
    assert told.count("ganforge: ") == 1
    assert "cannot be written (No space left on device): free some space" in told
    assert "Traceback" not in told
    assert newest_state(Run(folder)).step >= before
    ballast.unlink()
    assert lab.run(folder, resume=True) == [0]
    expected = dict(whole("gan"))
    if "csv" not in logger:
        del expected["csv/metrics.csv"]
    assert outcome(folder) == expected
