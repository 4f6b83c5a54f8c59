import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from PIL import Image

from ganforge.callbacks import wandb_logger
from helpers import ganforge
from wandb_files import media, runs_in

pytest.importorskip("wandb")

TINY = [
    "data.size=32",
    "data.batch_size=4",
    "data.source.train_count=32",
    "data.source.test_count=16",
    "data.source.workers=1",
    "callbacks.image_quality.n_images=16",
    "callbacks.image_quality.every_n_steps=2",
    "callbacks.sample_grid.every_n_steps=2",
    "callbacks.latent_walk.frames=2",
    "model.generator.width=8",
    "model.discriminator.width=8",
    "trainer.log_every_n_steps=1",
    "trainer.accelerator=cpu",
    "hydra.run.dir=run",
]


@pytest.fixture
def no_key(tmp_path, monkeypatch):
    """Neither key nor settings of W&B's, and nobody to answer a prompt."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_without_a_key_is_whole_in_its_file(no_key):
    assert ganforge("train", "logger=wandb", *TINY, "trainer.max_steps=4",
                    "callbacks.doctor.every_n_steps=2", "callbacks.doctor.gradient_every=1",
                    "callbacks.doctor.probe_every_n_steps=2",
                    "callbacks.doctor.rules.data_alike.spread=1000",
                    "logger.wandb.artifact=best") == 0  # fmt: skip
    (run,) = runs_in(no_key / "run", ended=1)
    assert run.exit_code == 0
    assert (run.project, run.group) == ("ganforge", "")
    assert run.axes["*"] == run.axes["kimg"] == "step"
    assert run.config["model"]["generator"]["size"] == 32  # an interpolation, resolved
    assert run.config["seed"] == 0
    counts = run.counts()
    for key in (
        "generator/loss", "discriminator/loss", "generator/gradient_norm",
        "discriminator/gradient_norm", "discriminator/D(x)", "discriminator/D(G(z))",
        "speed/images_per_second",
    ):  # fmt: skip
        assert counts[key] == 4, key
    for key in ("scores/fid16_train", "scores/kid16_train", "scores/is16"):
        assert counts[key] == 3, key  # steps 0, 2 and 4
    for key in ("doctor/diversity", "doctor/movement", "doctor/memory"):
        assert counts[key] == 2, key  # at steps 2 and 4
    marks = [row["step"] for row in run.history if row.get("doctor/data_alike")]
    assert len(run.alerts) == len([row for row in run.history if _found(row)])
    assert marks == [2]  # one a finding, however long it lasts
    assert all("step" in row for row in run.history)
    rows = [row for row in run.history if "generator/loss" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert [row["kimg"] for row in rows] == pytest.approx([0.004, 0.008, 0.012, 0.016])
    grids, films = media(run, "samples"), media(run, "interpolation")
    assert (len(grids), len(films)) == (3, 1)
    assert all(Image.open(path).size == Image.open(grids[0]).size for path in grids)
    assert Image.open(films[0]).n_frames == 8
    assert run.artifacts == [f"run-{run.id}-doctor", f"checkpoint-{run.id}"]


def _found(row):
    return any(key.startswith("doctor/") and value == 1.0 for key, value in row.items()
               if key.rpartition("/")[2] not in ("diversity", "movement", "memory"))  # fmt: skip


def test_a_crash_is_told_and_a_resumed_run_keeps_its_id(no_key, monkeypatch):
    crash = "class Crash:\n    def __new__(cls):\n        import lightning.pytorch as pl\n"
    crash += "        class Crash(pl.Callback):\n"
    crash += "            def on_train_batch_end(self, trainer, *_):\n"
    crash += "                if trainer.global_step == 3: raise RuntimeError('planned')\n"
    crash += "        return Crash()\n"
    (no_key / "crash.py").write_text(crash)
    monkeypatch.syspath_prepend(str(no_key))
    small = ["logger=wandb", *TINY, "~callbacks.image_quality", "trainer.max_steps=4",
             "callbacks.checkpoints.every_n_steps=1"]  # fmt: skip
    with pytest.raises(RuntimeError, match="planned"):
        ganforge("train", *small, "+callbacks.crash._target_=crash.Crash")
    (crashed,) = runs_in(no_key / "run", ended=1)
    assert crashed.exit_code == 1
    assert crashed.counts()["generator/loss"] >= 2
    (no_key / "crash.py").write_text("from lightning.pytorch import Callback as Crash\n")
    monkeypatch.delitem(__import__("sys").modules, "crash")
    assert ganforge("train", "resume=run") == 0
    first, second = sorted(
        runs_in(no_key / "run", ended=2), key=lambda run: run.exit_code, reverse=True
    )
    assert first.id == second.id == crashed.id
    assert (first.exit_code, second.exit_code) == (1, 0)


class Refusing(BaseHTTPRequestHandler):
    """A server that knows no key."""

    def do_GET(self):
        self.send_response(401)
        self.end_headers()

    def do_POST(self):
        self.do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture(params=["closed", "silent", "refusing"])
def server(request):
    """The address of a server that takes no run: nobody listens, nobody speaks, or it says no."""
    if request.param == "refusing":
        web = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
        Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        return
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "silent":
            listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_server_that_takes_no_run_is_told_once_and_stops_no_training(
    server, no_key, monkeypatch, capfd
):
    import wandb

    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setenv("WANDB_BASE_URL", server)
    monkeypatch.setattr(wandb_logger, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(wandb_logger, "INIT_SECONDS", 5.0)
    wandb.teardown()  # what this process knew of keys and servers
    arguments = ["logger=wandb", *TINY, "trainer.max_steps=2", "~callbacks.latent_walk"]
    try:
        assert ganforge("train", *arguments) == 0
    finally:
        wandb.teardown()
    told = [line for line in capfd.readouterr().err.splitlines() if "W&B is offline" in line]
    assert len(told) == 1
    assert told[0].endswith("later: wandb sync run/wandb/offline-run-*")
    (run,) = runs_in(no_key / "run", ended=1)
    assert run.exit_code == 0


def test_a_project_that_wandb_refuses_is_one_sentence(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    settings = ["experiment=gaussian1d", "trainer.max_steps=2", "data.source.train_count=64"]
    wandb = ["logger=wandb", "logger.wandb.project=a/b", "hydra.run.dir=run"]
    assert ganforge("train", *settings, "data.source.test_count=16", *wandb) == 2
    told = capfd.readouterr().err
    assert "project" in told
    assert told.count("ganforge: ") == 1
    assert not (tmp_path / "run" / "checkpoints").exists()
