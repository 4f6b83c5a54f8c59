"""Trains in forked processes and lets them suffer: kills, full disks, damaged files, slow disks.

They are forks of a server that has imported torch and the package and done nothing else: a fork
begins to train in a fraction of a second, which is what makes fifty kills affordable. Forking the
tests' own process instead crashed or hung wherever its OpenMP threads had worked before.
"""

import hashlib
import multiprocessing
import os
import random
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import lightning.pytorch.utilities
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf

from ganforge.callbacks import sample_grid, stop_signals
from ganforge.callbacks.checkpoints import Checkpoints
from ganforge.callbacks.doctor import report as doctor_report
from ganforge.models.base import AdversarialModule
from ganforge.training import fit
from ganforge.training.fit import train
from ganforge.training.job import job
from ganforge.utils.errors import GanforgeError
from helpers import composed

FAST = [
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "trainer.log_every_n_steps=3",
    "callbacks.checkpoints.every_n_steps=4",
    "logger=[csv]",
]
FACES = [
    "data.size=32", "data.batch_size=4", "data.source.train_count=40",
    "data.source.test_count=16", "data.source.workers=1", "data.flip=true",
    "callbacks.image_quality.n_images=16", "callbacks.image_quality.every_n_steps=5",
    "callbacks.image_quality.metrics=[{_target_:ganforge.metrics.scores.FID}]",
    "callbacks.sample_grid.every_n_steps=5", "callbacks.sample_grid.rows=2",
]  # fmt: skip
SMALL = {
    "gan": ["model=gan", *FACES, "model.generator.hidden=[16]", "model.discriminator.hidden=[16]"],
    "dcgan": [
        "model=dcgan", *FACES, "augment=diffaugment", "model.n_critic=2",
        "model.generator.width=4", "model.discriminator.width=4",
    ],
    "cyclegan": [
        "experiment=cyclegan_avatars", "data.size=32", "data.batch_size=2",
        "data.a.train_count=14", "data.a.test_count=6", "data.a.workers=1",
        "model.a_to_b.width=4", "model.a_to_b.blocks=1", "model.critic_a.width=4",
        "model.critic_a.layers=1", "model.pool_size=3",
        "callbacks.translation_grid.rows=2", "callbacks.translation_grid.every_n_steps=5",
    ],
}  # fmt: skip

# What else has a state of its own: for the full set of tests.
MORE = {
    "sngan-ada-consistency": [
        "model=sngan", *FACES, "model.n_critic=2", "augment=ada", "regularizer=[consistency]",
        "model.generator.width=2", "model.discriminator.width=2",
    ],
    "r3gan-noise-warm_up": [
        "model=r3gan", *FACES, "noise=instance", "schedule=warm_up", "model.generator.width=4",
        "model.generator.blocks=1", "model.generator.group_size=2",
    ],
    "dcgan-lecam-lazy_r1-bf16": [
        "model=dcgan", *FACES, "regularizer=[lecam,lazy_r1]", "norm=spectral",
        "model.generator.width=4", "model.discriminator.width=4", "trainer.precision=bf16-mixed",
    ],
}  # fmt: skip
STEPS = "trainer.max_steps=14"


def overrides_of(name: str) -> list[str]:
    """The overrides of a short run of a configuration in ``SMALL`` or ``MORE``."""
    return [*FAST, STEPS, *{**SMALL, **MORE}[name]]


Fault = Callable[[], None]  # called in the process that it harms; it travels there by pickle

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch", "ganforge.training.fit", "ganforge.models.gan"])


@dataclass
class Life:
    """One training process (or one a rank), from its fork to its end."""

    ranks: list[BaseProcess]
    codes: list[int] = field(default_factory=list)

    def kill(self) -> None:
        """Kill all ranks that live."""
        for rank in self.ranks:
            with suppress(ProcessLookupError):
                os.killpg(rank.pid, signal.SIGKILL)  # with what it has started, as W&B's process
            rank.kill()

    def wait(self, timeout: float = 240.0) -> list[int]:
        """Exit codes by rank, a signal as its negative number; what hangs is killed."""
        end = time.monotonic() + timeout
        while None in (codes := [rank.exitcode for rank in self.ranks]):
            if any(codes):
                end = min(end, time.monotonic() + 10)  # the others miss this one
            if time.monotonic() > end:
                self.kill()
            time.sleep(0.005)
        self.codes = codes
        return codes


@dataclass(frozen=True)
class Lab:
    """Runs of one small configuration; ``ranks`` processes train each."""

    data: Path
    overrides: Sequence[str]
    ranks: int = 1
    job: bool = False  # of a sweep, which looks for itself where it was stopped

    def start(self, folder: Path, resume: bool = False, fault: Fault | None = None, rank: int = 0,
              change: Sequence[str] = ()) -> Life:  # fmt: skip
        """Fork the processes of a run; ``fault`` is prepared in the one of ``rank``."""
        overrides = [*self.overrides, *change]
        if self.ranks > 1:
            overrides += [f"trainer.devices={self.ranks}", *DDP]
        if resume and not self.job:
            overrides.append(f"resume.run={folder}")
        config = composed("train", overrides, folder, self.data)
        if not resume:
            (folder / ".hydra").mkdir(parents=True)
            OmegaConf.save(config, folder / ".hydra" / "config.yaml")
            OmegaConf.save(HydraConfig.instance().cfg, folder / ".hydra" / "hydra.yaml")
        shared = dict(os.environ)
        # W&B's service of another test in this process would know a killed run as in use.
        shared.pop("WANDB_SERVICE", None)
        if self.ranks > 1:
            shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
            shared |= {"WORLD_SIZE": str(self.ranks), "NODE_RANK": "0"}
        ranks = []
        for each in range(self.ranks):
            environment = shared | ({"LOCAL_RANK": str(each)} if self.ranks > 1 else {})
            log = folder.with_suffix(f".{each}.log")
            plan = (config, HydraConfig.instance().cfg)
            run = partial(job, str(folder)) if self.job else None
            arguments = (plan, environment, log, fault if each == rank else None, run)
            ranks.append(FORKS.Process(target=_live, args=arguments))
            ranks[-1].start()
        return Life(ranks)

    def run(self, folder: Path, **options: object) -> list[int]:
        """Train and wait; the exit code of every rank."""
        return self.start(folder, **options).wait()


DDP = [
    "+trainer.strategy=ddp_find_unused_parameters_true",
    "+trainer.use_distributed_sampler=false",
]


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _live(plan: tuple[DictConfig, DictConfig], environment: dict[str, str], log: Path,
          fault: Fault | None, run: Callable[[], None] | None) -> None:  # fmt: skip
    """Train by a configuration and Hydra's own in a process that was just forked; end it."""
    code = 70
    os.setsid()
    try:
        setup_globals()
        config, HydraConfig.instance().cfg = plan
        os.environ.clear()
        os.environ.update(environment)
        lightning.pytorch.utilities.rank_zero_only.rank = int(environment.get("LOCAL_RANK", 0))
        torch.set_num_threads(1)
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        output = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        sys.stdout = sys.stderr = os.fdopen(output, "w", buffering=1)
        if fault is not None:
            fault()
        run() if run else train(config)
        code = 0
    except GanforgeError as error:
        print(f"ganforge: {error}")
        code = error.exit_code
    except BaseException:  # noqa: BLE001 - this process ends here, whatever it was
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def send(number: int = signal.SIGKILL) -> None:
    """Send a signal to the process itself; SIGKILL is what a machine taken away is like."""
    os.kill(os.getpid(), number)


def kill_in_step(step: int) -> Fault:
    """Die when the generator's update of ``step`` is due, the critic's being done."""
    return partial(_in_step, step, send)


def signal_in_step(step: int, number: int, times: int = 1, grace: float | None = None) -> Fault:
    """Send a signal to the process itself in the middle of ``step``.

    ``grace`` replaces the seconds in which a repeated signal counts as an echo.
    """
    return partial(_signal_in_step, step, number, times, grace)


def stop_in_step(step: int, marker: Path) -> Fault:
    """Stand still in the middle of ``step``, having left the file ``marker``."""
    return partial(_in_step, step, partial(_stand_still, marker))


MOMENTS = ("checkpoint", "gif", "health", "outcome", "report")


def kill_at_the_end(moment: str) -> Fault:
    """Die after the last checkpoint, before what follows it is made."""
    return partial(_kill_at_the_end, moment)


def kill_at_write(count: int) -> Fault:
    """Die at the ``count``-th of all moments in which files are synced or renamed."""
    return partial(_kill_at_write, count)


def _in_step(step: int, act: Callable[[], None]) -> None:
    update = AdversarialModule.update

    def watched(module: AdversarialModule, player: str, *args: object) -> object:
        if player == "generator" and module.trainer.global_step + 1 == step:
            act()
        return update(module, player, *args)

    AdversarialModule.update = watched


def _signal_in_step(step: int, number: int, times: int, grace: float | None) -> None:
    if grace is not None:
        stop_signals.GRACE = grace
    for _ in range(times):
        _in_step(step, partial(send, number))


def _kill_at_the_end(moment: str) -> None:
    def die(*args: object, **options: object) -> None:
        os.killpg(os.getpid(), signal.SIGKILL)

    if moment == "checkpoint":
        end = Checkpoints.on_train_end
        Checkpoints.on_train_end = lambda *args: (end(*args), die())
    module, name = {
        "checkpoint": (sample_grid, "join_gif"),
        "gif": (sample_grid, "join_gif"),
        "health": (doctor_report, "draw_health"),
        "outcome": (fit, "record_outcome"),
        "report": (fit, "print_training_report"),
    }[moment]
    setattr(module, name, die)


def _stand_still(marker: Path) -> None:
    marker.touch()
    send(signal.SIGSTOP)


def _kill_at_write(count: int) -> None:
    left = [count]

    def counted(function: Callable) -> Callable:
        def call(*args: object, **options: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                send()
            return function(*args, **options)

        return call

    os.fsync, Path.replace = counted(os.fsync), counted(Path.replace)


def slow_disk(seconds: float, seed: int) -> Fault:
    """Let every sync take up to ``seconds``, so that kills hit files half written."""
    return partial(_slow_disk, seconds, seed)


def _slow_disk(seconds: float, seed: int) -> None:
    rng, sync = random.Random(seed), os.fsync

    def delayed(descriptor: int) -> None:
        time.sleep(rng.uniform(0, seconds))
        sync(descriptor)

    os.fsync = delayed


def damage(path: Path, rng: random.Random) -> None:
    """Flip one byte of a file, or cut it short."""
    content = bytearray(path.read_bytes())
    place = rng.randrange(len(content))
    if rng.random() < 0.5:
        content[place] ^= 0xFF
    else:
        del content[place:]
    path.write_bytes(content)


def outcome(folder: Path) -> dict[str, str]:
    """Hashes of all that must not depend on kills: states, metrics, scores, pictures."""
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    parts = ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "ganforge")
    found = {part: _hash(state[part]) for part in parts} | {"step": str(state["global_step"])}
    names = ("metrics.jsonl", "csv/metrics.csv", "scores.json", "outcome.json")
    files = [folder / name for name in names]
    files += sorted((folder / "samples").iterdir())
    for path in files:
        if path.is_file():
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _hash(value: object) -> str:
    if isinstance(value, torch.Tensor):
        value = (str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes())
    elif isinstance(value, dict):
        value = [(str(key), _hash(item)) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        value = [_hash(item) for item in value]
    return hashlib.sha256(repr(value).encode()).hexdigest()
