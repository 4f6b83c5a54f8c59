"""ganforge trains, scores and explores generative adversarial networks.

``load`` opens a run or a bundle as a model, ``train`` trains one, ``score`` compares images with
images, ``compose`` and ``build`` make a
LightningModule for a Trainer of your own.
"""

from importlib import import_module
from typing import Any

from ganforge.utils.lean_imports import import_leanly

import_leanly()
__version__ = "0.1.0"
# Where each entry point lives: what is not used is not imported, and the command line stays fast.
_HOMES = {
    "build": "ganforge.config.build",
    "compose": "ganforge.api.runs",
    "load": "ganforge.api.models",
    "score": "ganforge.api.scores",
    "train": "ganforge.api.runs",
}
__all__ = ["build", "compose", "load", "score", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ganforge' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
