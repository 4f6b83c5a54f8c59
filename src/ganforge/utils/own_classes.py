"""Where Python looks for modules: what lies in the current folder comes last, or not at all.

A command is typed in any folder, that of somebody else's bundle or data included. A module there
must never be taken for one of a library.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def leave_current_folder() -> None:
    """Forget the current folder, which ``python -m`` puts first, here and in child processes."""
    os.environ["PYTHONSAFEPATH"] = "1"
    if sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]


@contextmanager
def own_classes() -> Iterator[None]:
    """Let classes of the user's own be found where the command is typed, last of all places."""
    folder = os.getcwd()
    added = folder not in sys.path
    if added:
        sys.path.append(folder)
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)
