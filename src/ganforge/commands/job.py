"""One job of a sweep: trains from the resolved configuration in its folder, in its own process."""

import os
from pathlib import Path

from omegaconf import OmegaConf

from ganforge.commands.train import train
from ganforge.utils.files import write_json
from ganforge.utils.runs import Run


def job(folder: str) -> None:
    """Train; an error is put down in ``outcome.json`` before it ends the process.

    The other ranks of a DDP job are started with the same arguments, so that they read the same
    configuration.
    """
    run = Run(Path(folder))
    try:
        train(OmegaConf.load(run.resolved_config))
    except Exception as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            text = " ".join(f"{type(error).__name__}: {error}".split())
            write_json({"error": text[:500]}, run.outcome)
        raise
