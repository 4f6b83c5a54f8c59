"""Sweeps on the command line: a job's configuration, its process, and going on with a sweep.

Hydra imports its plugins, and with them this file, whenever it starts: nothing heavy in it.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ganforge.config.arguments import quoted, unquoted
from ganforge.config.places import places_of_data
from ganforge.sweeps.manifest import Job, Sweep
from ganforge.sweeps.process import INTERRUPTED, JOB, JobProcess
from ganforge.sweeps.ranking import SEED, varied
from ganforge.utils.errors import UserError
from ganforge.utils.runs import Run

MULTIRUN = ("-m", "--multirun")
CHOICE = re.compile(r"\$\{hydra:runtime\.choices\.([\w/]+)\}")
CHOICES = re.compile(rf"{CHOICE.pattern}(-{CHOICE.pattern})*")


class OneFolder(Callback):
    """Gives all jobs of a sweep the folder that the sweep's own configuration names.

    Hydra composes that name anew for each job, from the job's model and data; for the sweep it
    cannot tell these at all (``HydraConfig was not set``).
    """

    def on_multirun_start(self, config: DictConfig, **options: object) -> None:  # noqa: ARG002
        """Settle the folder before sweepers and launchers ask for it."""
        from ganforge.training.claim import free_sweep_folder

        known = config.copy()
        name_by_what_is_common(known)
        HydraConfig.instance().set_config(known)
        with read_write(config), open_dict(config):
            config.hydra.sweep.dir = str(free_sweep_folder(known))
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(config.hydra.sweep.dir)}")


def name_by_what_is_common(config: DictConfig) -> None:
    """Name a sweep by those choices of its jobs' name that do not vary from job to job."""
    name = str(OmegaConf.to_container(config, resolve=False)["name"])
    if not CHOICES.fullmatch(name):
        return
    varying = set(varied_groups(config))
    choices = config.hydra.runtime.choices
    common = [choices[g] for g in CHOICE.findall(name) if not {g, "experiment"} & varying]
    with read_write(config), open_dict(config):
        config.name = "-".join(common) or "sweep"


def varied_groups(config: DictConfig) -> Iterator[str]:
    """The keys that a sweep gives several values, on the command line or in its sweeper."""
    parser = OverridesParser.create()
    for override in parser.parse_overrides(list(config.hydra.overrides.task)):
        if override.is_sweep_override():
            yield override.get_key_element()
    yield from map(str, config.hydra.sweeper.get("params") or ())


def prepare_job(config: DictConfig) -> Path:
    """Write the configuration into the job's folder once it is known to resolve."""
    from ganforge.training.claim import write_configuration

    OmegaConf.resolve(config.copy())
    folder = Path(HydraConfig.get().runtime.output_dir)
    write_configuration(Run(folder).config.parent, config)
    return folder


def refuse_if_all_lack(folders: Sequence[Path]) -> None:
    """Raise a UserError where no job can begin for one and the same reason, before the first does.

    What some jobs lack is theirs to record: the others go on.
    """
    told = {_lacks(OmegaConf.load(Run(folder).config)) for folder in folders}
    if len(told) == 1 and (sentence := told.pop()) is not None:
        raise UserError(f"no job can begin: {sentence}")


def _lacks(config: DictConfig) -> str | None:
    """What is not there, of keys and of places of data."""
    for key in sorted(OmegaConf.missing_keys(config)):
        return f"{key} must be given: {key}=..."
    for key, place in places_of_data(config):
        if key.endswith(".path") and not place.exists():
            return f"{key}={place}: there is no such file or folder"
    return None


def run_here(config: DictConfig) -> float | None:
    """Run one job in a process of its own and wait for it; None where it has no finite score.

    What launchers that know nothing of sweeps call, here or on another machine. Of the several
    tasks that SLURM starts for one job, the first keeps its record.
    """
    folder = prepare_job(config)
    rank = int(os.environ.get("SLURM_PROCID", "0"))
    if rank > 0:
        with (folder / f"job.rank{rank}.log").open("ab") as log:
            subprocess.run([*JOB, str(folder)], stdout=log, stderr=subprocess.STDOUT, check=False)
        return None
    process = JobProcess(folder, {})
    try:
        record = process.wait()
    except BaseException as error:
        process.stop(grace=20.0, reason=_why_stopped(error))
        process.wait()
        raise
    return record.value


def _why_stopped(error: BaseException) -> str:
    """What a launcher's interruption means, as submitit raises it at SLURM's time limit."""
    if isinstance(error, SystemExit):
        return "its launcher puts it into the queue again, where it goes on"
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def visible_gpus() -> list[str]:
    """The GPUs that ``CUDA_VISIBLE_DEVICES`` names, else all that the driver lists."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    if not shutil.which("nvidia-smi"):
        return []
    done = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    return [str(i) for i, _ in enumerate(line for line in lines if line.startswith("GPU "))]


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM interrupt the block once; further ones find it stopping its jobs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        print("stopping the jobs ...", file=sys.stderr)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def announce(sweep: Sweep, job: Job) -> None:
    """Say what became of a job, in one line."""
    record, keys = job.record, {*varied(sweep.jobs), SEED}
    told = {k: v for k, v in job.settings.items() if k in keys} or job.settings
    settings = " ".join(f"{key}={value}" for key, value in told.items())
    name = f"job {job.number} of {max(len(sweep.jobs), sweep.trials or 0)}"
    took = f" after {record.seconds:.0f} s" if record.seconds is not None else ""
    match record.state:
        case "running":
            print(f"{name} runs: {settings}", flush=True)
        case "done" if record.value is not None:
            pruned = " (pruned)" if record.pruned else ""
            print(f"{name} done{took}: {record.objective} {record.value:.4g}{pruned}", flush=True)
        case "done":
            print(f"{name} done{took}, without a finite score", flush=True)
        case state:
            print(f"{name} {state}{took}: {record.told}", flush=True)


def as_sweep(arguments: Sequence[str]) -> list[str]:
    """The arguments, with ``-m`` where ``sweep=NAME`` asks for it; Hydra 1.4 lets no file do so."""
    looked_at = any(word.startswith(("--cfg", "-c")) for word in arguments)
    chosen = [word.partition("=")[2] for word in arguments if word.startswith("sweep=")]
    asked = [name for name in chosen if name not in ("", "null")]
    if not asked or looked_at or any(word in MULTIRUN for word in arguments):
        return list(arguments)
    return ["-m", *arguments]


def resumed_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments of ``train resume_sweep=FOLDER``: those of the sweep, changed by new ones."""
    wanted = [a.partition("=")[2] for a in arguments if a.startswith("resume_sweep=")]
    if not wanted:
        return list(arguments)
    folder = unquoted(wanted[-1])
    sweep = Sweep.read(folder)
    sweep.refuse_running()
    from ganforge.config.trust import need_trust_of_command

    need_trust_of_command(sweep.folder, sweep.command, "resume.trusted=true" in arguments)
    own = [a for a in arguments if not a.startswith("resume_sweep=") and a not in MULTIRUN]
    own += [f"hydra.sweep.dir={quoted(folder)}", "hydra.launcher.resume=true"]
    changed = {a.partition("=")[0]: a for a in [*sweep.command, *own] if a not in MULTIRUN}
    return ["-m", *changed.values()]
