"""Several processes train one job: with one configuration, into one folder; they fail together."""

import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
from lightning.pytorch import Trainer
from omegaconf import OmegaConf

from ganforge.training.devices import (
    SharedBatchNorm,
    batch_norm_options,
    pick_precision,
    process_options,
)
from ganforge.training.processes import further_processes
from ganforge.utils.errors import LostProcessError, UserError
from ganforge.utils.runs import Run
from helpers import composed

WITNESS = """
import json
from pathlib import Path
from lightning.pytorch import Callback

class Witness(Callback):
    def __init__(self, folder, seed, fail):
        self.folder, self.seed, self.fail = folder, seed, fail

    def on_train_end(self, trainer, pl_module):
        if self.fail and trainer.global_rank == 1:
            raise OSError("no more room")
        path = Path(self.folder) / f"rank{trainer.global_rank}.json"
        noise = pl_module.draw_latents(1, pl_module.noise).flatten().tolist()
        weights = [p.double().abs().sum().item() for p in pl_module.parameters()]
        told = {"seed": [self.seed, pl_module.seed], "noise": noise, "weights": weights}
        path.write_text(json.dumps({**told, "nodes": trainer.num_nodes}))
"""
JOB = [
    "train",
    "experiment=gaussian1d",
    "debug=fast",
    "logger=[]",
    "trainer=ddp_sim",
    "data.batch_size=8",
    "data.source.train_count=64",
    "data.source.test_count=8",
    "+callbacks.witness={_target_:witness.Witness,folder:'${paths.output_dir}',fail:false,seed:'${seed}'}",
]


def start(folder, *command):
    (folder / "witness.py").write_text(WITNESS)
    unset = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"OMP_NUM_THREADS": "1", "GANFORGE_DATA": str(folder / "data")}
    command, pipe = [sys.executable, "-m", *command], subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True
    )


def run(folder, *command):
    process = start(folder, *command)
    out, error = process.communicate(timeout=280)
    return subprocess.CompletedProcess(command, process.returncode, out, error)


def seen(folder):
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


def test_all_processes_of_a_sweeps_job_have_its_configuration(tmp_path):
    """With no strategy chosen: two devices are enough to say."""
    two = ["trainer.accelerator=cpu", "trainer.devices=2"]
    job = [word for word in JOB if word != "trainer=ddp_sim"]
    done = run(
        tmp_path, "ganforge", *job, *two, "seed=3,4", f"hydra.sweep.dir={tmp_path}/sweep", "-m"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for job, seed in (("0", 3), ("1", 4)):
        first, second = seen(tmp_path / "sweep" / job)
        assert first["seed"] == second["seed"] == [seed, seed]
        assert first["noise"] != second["noise"]
    assert not (tmp_path / "outputs").exists()  # no process composed a run of its own


DDP = "ddp_find_unused_parameters_true"


@pytest.mark.parametrize(
    ("settings", "strategy"),
    [
        ({"devices": 1}, None),
        ({"devices": "1"}, None),
        ({"devices": 2}, DDP),
        ({"devices": "2"}, DDP),
        ({"devices": [1]}, None),
        ({"devices": [0, 1]}, DDP),
        ({"devices": "0,1"}, DDP),
        ({"devices": "auto"}, None),
        ({"devices": "some"}, None),
        ({"devices": 1, "num_nodes": 2}, DDP),
        ({"devices": 2, "strategy": "ddp"}, None),
        ({"devices": 2, "strategy": "auto"}, DDP),
    ],
)
def test_several_processes_take_the_strategy_that_works(settings, strategy):
    trainer = OmegaConf.create({"accelerator": "cpu", **settings})
    expected = {"strategy": strategy, "use_distributed_sampler": False} if strategy else {}
    assert process_options(trainer) == expected


@pytest.mark.slow
def test_torchrun_starts_one_run_in_one_folder(tmp_path):
    torchrun = ["torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "ganforge"]
    witness = JOB[-1].replace("'${paths.output_dir}'", str(tmp_path))
    done = run(tmp_path, *torchrun, *JOB[:-1], witness)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len({tuple(rank["noise"]) for rank in seen(tmp_path)}) == 2
    runs = {path.name for path in (tmp_path / "outputs").iterdir()} - {"latest"}
    assert len(runs) == 1
    assert not (tmp_path / "checkpoints").exists()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_two_nodes_are_one_node_with_two_devices(tmp_path):
    """Two torchruns on one machine that know of each other by an address alone."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert run(tmp_path, "ganforge", *JOB, "hydra.run.dir=one").returncode == 0
    torchrun = ["torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d"]
    torchrun += [f"--rdzv-endpoint=127.0.0.1:{free_port()}", "-m", "ganforge"]
    devices = ["trainer.devices=1", "trainer.num_nodes=2", "hydra.run.dir=two"]
    nodes = [start(tmp_path, *torchrun, *JOB, *devices) for _ in range(2)]
    for node in nodes:
        _, error = node.communicate(timeout=280)
        assert node.returncode == 0, error[-3000:]
    one, two = seen(tmp_path / "one"), seen(tmp_path / "two")
    assert [rank.pop("nodes") for rank in (*one, *two)] == [1, 1, 2, 2]
    assert one == two
    assert two[0]["noise"] != two[1]["noise"]
    assert two[0]["weights"] == two[1]["weights"]
    assert not (tmp_path / "outputs").exists()


def test_a_lost_node_is_told_in_a_sentence(tmp_path):
    environment = SimpleNamespace(creates_processes_externally=True)
    strategy = SimpleNamespace(cluster_environment=environment)
    trainer = SimpleNamespace(strategy=strategy, world_size=4, global_rank=3)
    gloo = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.1]:23")
    with (
        pytest.raises(LostProcessError, match=r"process 3 of 4 .* resume=auto hydra.run.dir="),
        further_processes(trainer, None, Run(tmp_path)),
    ):
        raise gloo
    with (
        pytest.raises(RuntimeError, match="shapes"),
        further_processes(trainer, None, Run(tmp_path)),
    ):
        raise RuntimeError("shapes cannot be multiplied")


@pytest.mark.slow
def test_one_process_that_fails_ends_all(tmp_path):
    done = run(tmp_path, "ganforge", *JOB[:-1], JOB[-1].replace("fail:false", "fail:true"))
    assert done.returncode != 0
    assert "no more room" in done.stderr
    assert "process 1 (exit code 1)" in done.stderr


def test_more_nodes_need_somebody_who_starts_their_processes(tmp_path):
    trainer = Trainer(
        accelerator="cpu", devices=2, num_nodes=2, strategy="ddp", logger=False,
        enable_checkpointing=False,
    )  # fmt: skip
    with (
        pytest.raises(UserError, match="torchrun or srun"),
        further_processes(trainer, None, Run(tmp_path)),
    ):
        pass


def test_shared_batch_norm_is_ours_on_a_cpu_alone(tmp_path):
    choices = ["trainer=ddp_sim", "trainer.sync_batchnorm=true"]
    config = composed("train", choices, tmp_path, tmp_path)
    options = batch_norm_options(config.trainer)
    assert options["sync_batchnorm"] is False
    assert isinstance(options["plugins"][0], SharedBatchNorm)
    assert batch_norm_options(composed("train", [], tmp_path, tmp_path).trainer) == {}


def test_precision_asks_the_accelerator_that_is_used(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: True)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(f"torch.cpu.{name}", lambda: False)
    assert pick_precision("auto", "auto") == "bf16-mixed"
    assert pick_precision("auto", "cpu") == "32-true"
