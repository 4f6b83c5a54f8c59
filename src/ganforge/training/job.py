"""One job of a sweep: trains from the configuration in its folder, in a process of its own."""

import os
from pathlib import Path

from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf

from ganforge.config.checks import check_settings
from ganforge.trained.load import read_config
from ganforge.training.fit import train
from ganforge.utils.files import write_json
from ganforge.utils.runs import Run


def job(folder: str) -> None:
    """Train; an error is recorded in ``outcome.json`` before it ends the process.

    Nothing is composed here, and none of the sweep's arguments are on this process's command line:
    what Lightning may start further from it is the same job.
    """
    run = Run(Path(folder))
    try:
        config = _configuration(run)
        check_settings(config)
        train(config)
    except Exception as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            text = " ".join(f"{type(error).__name__}: {error}".split())
            write_json({"error": text[:500]}, run.outcome)
        raise


def _configuration(run: Run) -> DictConfig:
    """What Hydra composed for the job, going on where an earlier attempt stopped."""
    config = read_config(run)
    hydra = OmegaConf.load(run.config.with_name("hydra.yaml"))
    setup_globals()
    OmegaConf.register_new_resolver(
        "hydra", lambda key: OmegaConf.select(hydra.hydra, key), replace=True
    )
    if run.checkpoints.is_dir() or run.metrics.is_file():
        config.resume.run = str(run.folder)
    return config
