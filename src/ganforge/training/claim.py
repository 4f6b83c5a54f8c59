"""A run's folder belongs to one run: it is taken before anything is written into it."""

import errno
import os
import shlex
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ganforge.config.places import absolute_overrides, with_absolute_places
from ganforge.config.secrets import without_secrets
from ganforge.training.cluster import rank_of_start
from ganforge.training.locks import is_locked
from ganforge.utils.errors import UserError
from ganforge.utils.files import PARTIAL
from ganforge.utils.runs import Run
from ganforge.utils.terminal import relative_path

OUTPUT = "${hydra:runtime.output_dir}"
OF_USE = ("checkpoints", "metrics.jsonl", "samples", "scores.json")
"""What makes a training that broke off worth keeping."""
TAKEN = (errno.EEXIST, errno.ENOTEMPTY)


@contextmanager
def claimed(config: DictConfig) -> Iterator[None]:
    """Take the folder of a new run for the block; it is free again if nothing came of it.

    A run that goes on has its folder, and of several processes the first one has it.
    """
    if config.resume.run is not None or rank_of_start() > 0:
        yield
        return
    run = claim(config)
    try:
        yield
    except BaseException:
        if not any((run.folder / name).exists() for name in OF_USE):
            _give_back(run)
        raise


def claim(config: DictConfig) -> Run:
    """The folder that ``config`` names, with the configuration in it; of no other run.

    A name made from the time that is taken gets a number. Raises UserError for a taken one that
    was given.
    """
    hydra = HydraConfig.instance().cfg
    composed = Path(hydra.hydra.runtime.output_dir)
    folder = Path(config.paths.output_dir).absolute()
    if folder != composed.absolute():  # configured: Hydra has made another one
        _remove_if_empty(composed)
        config.paths.output_dir = OUTPUT
    timed = _is_timed(hydra, "run")
    for number in range(1000):
        candidate = folder.with_name(f"{folder.name}-{number}") if number else folder
        _set_output(hydra, candidate)
        if take(candidate, config):
            return Run(candidate)
        if not timed:
            break
    raise UserError(_refusal(folder))


def take(folder: Path, config: DictConfig) -> bool:
    """Put the configuration into a folder where no run is; False where there is one.

    It appears by one renaming: whoever comes second finds it.
    """
    if holds_something(folder):
        return False
    temporary = folder / f"{PARTIAL}{uuid.uuid4().hex[:8]}"
    temporary.mkdir(parents=True)
    try:
        write_configuration(temporary, config)
        temporary.rename(Run(folder).config.parent)
    except OSError as error:
        if error.errno not in TAKEN:
            raise
        return False
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def holds_something(folder: Path) -> bool:
    """Whether a folder has what runs and sweeps leave; other people's files may lie there."""
    return any(os.path.lexists(folder / name) for name in Run.LEFT)


def write_configuration(folder: Path, config: DictConfig) -> None:
    """Write what a run is rebuilt and gone on from, places of data made absolute."""
    folder.mkdir(parents=True, exist_ok=True)
    hydra = HydraConfig.instance().cfg
    overrides: Any = OmegaConf.create(absolute_overrides(hydra.hydra.overrides.task, config))
    content = {"config": with_absolute_places(config), "hydra": hydra, "overrides": overrides}
    for name, part in content.items():
        OmegaConf.save(without_secrets(part), folder / f"{name}.yaml")


def free_sweep_folder(config: DictConfig) -> Path:
    """The folder of a sweep; one named by the time is made, with a number where it is taken."""
    folder = Path(str(config.hydra.sweep.dir))
    for number in range(1000 if _is_timed(config, "sweep") else 0):
        candidate = folder.with_name(f"{folder.name}-{number}") if number else folder
        candidate.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            candidate.mkdir()
            return candidate
    return folder


def refuse_taken(folder: Path) -> None:
    """Raise UserError where a run or a sweep lies, and say how to go on with it."""
    if holds_something(folder):
        raise UserError(_refusal(folder))


def _refusal(folder: Path) -> str:
    place = shlex.quote(relative_path(folder))
    if (folder / "sweep.json").is_file():
        return (
            f"{place} holds a sweep already, of which nothing was touched: go on with it by "
            f"resume_sweep={place}, or name another folder"
        )
    if is_locked(Run(folder)):
        return f"{place} is being trained by another process: wait for its end, or stop it"
    return (
        f"{place} holds a run already, of which nothing was touched: go on with it by "
        f"ganforge train resume={place}, or name another folder: hydra.run.dir=FOLDER"
    )


def _is_timed(config: DictConfig, mode: str) -> bool:
    """Whether a folder's name is made from the time, not given."""
    return "${now:" in str(OmegaConf.to_container(config.hydra[mode], resolve=False)["dir"])


def _set_output(hydra: DictConfig, folder: Path) -> None:
    with read_write(hydra.hydra.runtime), open_dict(hydra.hydra.runtime):
        hydra.hydra.runtime.output_dir = str(folder)


def _give_back(run: Run) -> None:
    """Remove what a start wrote that came to nothing: there was nothing by these names before."""
    for name in Run.LEFT:
        path = run.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    (run.folder / ".lock").unlink(missing_ok=True)
    if _is_timed(HydraConfig.instance().cfg, "run"):
        _remove_if_empty(run.folder)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
