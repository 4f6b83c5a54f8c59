"""A further process of a training."""

import os
import sys
import threading
import time

from omegaconf import OmegaConf

from ganforge.training.processes import GRACE
from ganforge.utils.own_classes import own_classes


def _end_with(parent: int) -> None:
    """End when the first process has, whatever ended that: this one may wait for it for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    time.sleep(GRACE)  # most often this process notices by itself, and says so
    os._exit(1)


def main() -> None:
    """Train as one of the further processes: ``python -m ganforge.training.worker CONFIG``."""
    from ganforge.config.sentences import explain_and_exit
    from ganforge.training.fit import train
    from ganforge.utils.terminal import open_for_any_text

    open_for_any_text()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        with own_classes():
            train(OmegaConf.load(sys.argv[1]))
    except Exception as error:  # noqa: BLE001 - raised again unless it is the user's
        explain_and_exit(error)


if __name__ == "__main__":
    main()
