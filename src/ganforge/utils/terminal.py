"""What is said on a terminal: any text on any terminal, and commands that can be pasted."""

import errno
import io
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

from rich.console import Console


def relative_path(path: Path) -> str:
    """A path as short as it can be typed here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def command_name(program: str) -> str:
    """How a program of this environment is typed: with its folder where that is not on the path."""
    if shutil.which(program):
        return program
    return relative_path(Path(sys.executable).parent / program)


def command(*words: str) -> str:
    """A command line that a shell takes as it is printed."""
    return shlex.join(words)


def terminal(**options: Any) -> Console:
    """Where to print: text stays text, whatever brackets and colons a path or a class has."""
    return Console(**{"markup": False, "emoji": False, "highlight": False, **options})


class Pipe(io.FileIO):
    """A stream that is written into nothing once nobody reads it, or its disk is full."""

    GONE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)

    def write(self, data: Any) -> int | None:
        """Write, or let go: what was to be said is worth less than the work it tells of."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in self.GONE:
                raise
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.fileno())
            os.close(nothing)
            return len(memoryview(data).cast("B"))


def open_for_any_text() -> None:
    """Let standard output and error take all that is printed, in whatever encoding they have."""
    for name in ("stdout", "stderr"):
        stream: io.TextIOWrapper | None = getattr(sys, name)
        # Not those that a test or a notebook put in their place, nor one that is closed.
        if stream is None or stream is not getattr(sys, f"__{name}__"):
            continue
        stream.flush()
        pipe = Pipe(stream.fileno(), "w", closefd=False)
        robust = io.TextIOWrapper(
            pipe if stream.write_through else io.BufferedWriter(pipe),  # python -u buffers nothing
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, robust)


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Tell what happened; where that fails, it has happened all the same."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever drawing or printing may raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"ganforge: {what} cannot be shown ({reason})", file=sys.stderr)


def tell(text: str) -> None:
    """Say one line of what happened beside the work itself, on standard error, as it is."""
    escaped = text.encode("utf-8", "backslashreplace").decode()
    terminal(stderr=True, soft_wrap=True).print(escaped)


@contextmanager
def told_if_slow(what: str, seconds: float = 2.0) -> Iterator[None]:
    """Say what takes longer than ``seconds`` while it does, on standard error."""
    timer = Timer(seconds, lambda: print(f"{what} ...", file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
