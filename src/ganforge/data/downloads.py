"""Find the files of a well-known data set, or let torchvision download them, or say what to do."""

import sys
import urllib.error
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from ganforge.utils.errors import UserError

Found = TypeVar("Found")


def find_or_download(
    what: str,
    files: Sequence[str],
    folder: Path | str | None,
    download_dir: Path | str,
    find: Callable[[Path], Found | None],
    download: Callable[[str], object],
    usual: Sequence[Path] = (),
) -> Found:
    """Return what ``find`` sees in ``folder``; without one, in the usual places or a download.

    ``files`` names the files in a message; ``download`` gets the folder it should write to.
    """
    if folder is not None:
        folder = Path(folder).expanduser()
        found = find(folder)
        if found is None:
            raise UserError(
                f"{what} is not in '{folder.absolute()}' (data.source.folder): put {_any(files)} "
                "there, or unset the key to download it."
            )
        return found
    download_dir = Path(download_dir).expanduser()
    for place in (*usual, download_dir):
        if (found := find(place)) is not None:
            return found
    _download(what, files, download_dir, download)
    if (found := find(download_dir)) is None:
        raise UserError(f"{what} was downloaded to '{download_dir}' but is not complete there.")
    return found


def _download(
    what: str, files: Sequence[str], folder: Path, download: Callable[[str], object]
) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"), redirect_stdout(sys.stderr):
            download(str(folder))
    except (OSError, RuntimeError, ImportError) as error:  # URLError is an OSError
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        first = str(reason).strip().partition("\n")[0].rstrip(":. ")
        raise UserError(
            f"{what} could not be downloaded ({first}): put {_any(files)} into '{folder}', or name "
            "the folder that has them with data.source.folder=FOLDER."
        ) from error


def _any(files: Sequence[str]) -> str:
    return " or ".join(files)
