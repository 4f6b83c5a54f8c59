"""Paths and programs as a user of this terminal would type them."""

import os
import shutil
import sys
from pathlib import Path


def shown(path: Path) -> str:
    """A path as short as it can be typed here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def typed(program: str) -> str:
    """How a program of this environment is typed: with its folder where that is not on the path."""
    if shutil.which(program):
        return program
    return shown(Path(sys.executable).parent / program)


def tell(text: str) -> None:
    """Say one line of what happened beside the work itself, on standard error, as it is."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(text.encode("utf-8", "backslashreplace").decode(), markup=False)
