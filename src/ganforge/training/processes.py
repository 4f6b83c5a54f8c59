"""One process a device: the first starts the others with its own resolved configuration.

Lightning starts them by repeating the command line, which would compose anew: in a sweep every
process would train a job of its own, and with a time stamp in its name each would write a folder of
its own. Lightning also takes processes that somebody else started, by the environment variables
that ``torchrun`` sets; so they are started here.
"""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist
from lightning.pytorch import Trainer
from omegaconf import DictConfig, OmegaConf

from ganforge.utils.errors import LostProcessError, UserError
from ganforge.utils.files import atomic_path
from ganforge.utils.runs import Run

VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "WORLD_SIZE", "LOCAL_RANK")


GRACE = 10.0


"""Seconds that the others have to end by themselves."""


CONNECTION = re.compile(r"connection (closed|reset|refused)|socket|broken pipe|NCCL|gloo", re.I)


"""In what gloo, NCCL and torch's store say when a process at their other end is gone."""


@contextmanager
def further_processes(trainer: Trainer, config: DictConfig, run: Run) -> Iterator[None]:
    """Start the processes of all devices but the first, unless torchrun, srun or we did; end them.

    All train in the block; the process group ends with it, so that a sweep's next job can have one.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    ours = environment is not None and not environment.creates_processes_externally
    children: list[subprocess.Popen] = []
    before = {name: os.environ.get(name) for name in VARIABLES}
    over = threading.Event()
    try:
        if ours and trainer.world_size > 1:
            _check_nodes(trainer)
            children += _start(trainer.num_devices, _write(config, run))
            threading.Thread(target=_watch, args=(children, over), daemon=True).start()
        yield
        _wait(children)
    except RuntimeError as error:  # as that a connection was closed
        if _failed(children):
            raise RuntimeError(_failure(children)) from error
        if not ours and CONNECTION.search(str(error)):
            raise LostProcessError(trainer.global_rank, trainer.world_size, run.folder) from error
        raise
    finally:
        over.set()
        _stop(children)
        if children:
            _resolved(run).unlink(missing_ok=True)
        _set_environment(before)
        if environment is not None and dist.is_initialized():
            dist.destroy_process_group()


def _check_nodes(trainer: Trainer) -> None:
    if trainer.num_nodes > 1:
        raise UserError(
            f"trainer.num_nodes={trainer.num_nodes} needs a process for every device of every "
            "node: start the command with torchrun or srun (docs/scale.md shows how)"
        )


def _resolved(run: Run) -> Path:
    return run.config.with_name("resolved.yaml").absolute()


def _write(config: DictConfig, run: Run) -> Path:
    path = _resolved(run)
    with atomic_path(path) as temporary:
        OmegaConf.save(config, temporary, resolve=True)
        temporary.chmod(0o600)  # keys of an object store may be in it
    return path


def _start(count: int, config: Path) -> list[subprocess.Popen]:
    """Start processes 1 to ``count`` - 1 and make this one number 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    os.environ.update(shared, WORLD_SIZE=str(count), LOCAL_RANK="0")
    command = [sys.executable, "-P", "-m", "ganforge.training.worker", str(config)]
    return [
        subprocess.Popen(command, env={**os.environ, "LOCAL_RANK": str(rank)})
        for rank in range(1, count)
    ]


def _watch(children: list[subprocess.Popen], over: threading.Event) -> None:
    """End this process when another one failed: it would wait for that one's part for ever."""
    while not any(child.poll() for child in children):
        if over.wait(1):
            return
    # Most often this process fails by itself, and says why.
    if not over.wait(GRACE):
        print(f"ganforge: {_failure(children)}", file=sys.stderr)
        for child in children:
            child.kill()
        os._exit(1)


def _wait(children: list[subprocess.Popen]) -> None:
    """Let the others end; raises RuntimeError where one did not end well."""
    for child in children:
        child.wait()
    if any(child.returncode for child in children):
        raise RuntimeError(_failure(children))


def _failed(children: list[subprocess.Popen]) -> bool:
    """Whether another process failed; it may take a moment longer to end than its connections."""
    ends = time.monotonic() + GRACE
    while children and time.monotonic() < ends:
        if any(child.poll() for child in children):
            return True
        time.sleep(0.2)
    return False


def _failure(children: list[subprocess.Popen]) -> str:
    codes = {rank: child.poll() for rank, child in enumerate(children, 1)}
    failed = ", ".join(f"process {rank} (exit code {code})" for rank, code in codes.items() if code)
    return f"training on several devices broke off in {failed}: its message stands above"


def _set_environment(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _stop(children: list[subprocess.Popen]) -> None:
    """End what still runs, as after an error."""
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
