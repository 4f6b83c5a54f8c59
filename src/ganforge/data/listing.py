"""The image files in a folder or a zip archive, named but not yet read."""

import hashlib
import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

from ganforge.data.archive import check_members, read_member
from ganforge.utils.errors import DamagedFileError, UserError

SUFFIXES = frozenset(
    f".{kind}"
    for kind in (
        *("bmp", "gif", "ico", "jfif", "jp2", "jpeg", "jpg", "pbm", "pgm", "png", "ppm"),
        *("tga", "tif", "tiff", "webp"),
    )
)


@dataclass(frozen=True)
class Listing:
    """The image files under ``root``; ``stamp`` is a zip's size and mtime, None for a folder."""

    root: Path
    stamp: tuple[int, int] | None

    @cached_property
    def names(self) -> list[str]:
        """Relative names of the image files, sorted."""
        return _folder_names(self.root) if self.stamp is None else _zip_names(self)

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 that changes with the files: their names, sizes and times."""
        if self.stamp is not None:  # its directory may be long: opening the cache is instant
            lines = [f"{self.stamp}"]
        else:
            lines = [_line(name, self.root / name) for name in self.names]
        digest = hashlib.sha256()
        for line in lines:
            digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
        return digest.hexdigest()

    def read(self, name: str) -> bytes:
        """Return the bytes of one file; raises OSError, BadZipFile or zlib.error if it cannot."""
        if self.stamp is None:
            return (self.root / name).read_bytes()
        return read_member(_open_zip(self.root, self.stamp), name)


def list_images(path: Path | str) -> Listing:
    """List the images of a folder (with its subfolders) or of a zip archive."""
    root = Path(path).expanduser()
    if not root.exists():
        raise UserError(f"There is no folder or zip archive '{root.absolute()}'.")
    if root.is_dir():
        return Listing(root, None)
    if zipfile.is_zipfile(root):
        stat = root.stat()
        return Listing(root, (stat.st_size, stat.st_mtime_ns))
    if root.suffix.lower() == ".zip":
        raise DamagedFileError(f"'{root}' is not a readable zip archive: it is damaged or cut off.")
    raise UserError(f"'{root}' is neither a folder nor a zip archive of images.")


def _folder_names(root: Path) -> list[str]:
    return _only_images([path.relative_to(root).as_posix() for path in _walk(root)], root)


def _zip_names(listing: Listing) -> list[str]:
    archive = _open_zip(listing.root, listing.stamp)
    check_members(archive, listing.root)
    # A name that occurs twice is one file: the last, as zipfile reads it.
    names = dict.fromkeys(archive.namelist())
    return _only_images([name for name in names if not name.endswith("/")], listing.root)


def _line(name: str, path: Path) -> str:
    # A link to nothing has no size; reading it names it as a bad image.
    stat = path.stat() if path.exists() else path.lstat()
    return f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}"


def _walk(root: Path) -> Iterator[Path]:
    seen = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link back up would never end
            subfolders.clear()
            continue
        seen.add(real)
        yield from (Path(folder, file) for file in files)


@lru_cache(maxsize=2)
def _open_zip(root: Path, stamp: tuple[int, int]) -> zipfile.ZipFile:
    """Open a zip once per process, for its directory is long; ``stamp`` tells a newer file."""
    del stamp
    try:
        return zipfile.ZipFile(root)
    except (OSError, zipfile.BadZipFile) as error:
        raise DamagedFileError(f"The zip archive '{root}' cannot be read: {error}.") from error


def _only_images(names: list[str], root: Path) -> list[str]:
    visible = [name for name in names if not _hidden(name)]
    images = sorted(name for name in visible if PurePosixPath(name).suffix.lower() in SUFFIXES)
    if images:
        return images
    if not visible:
        raise UserError(f"'{root}' is empty: put images into it or choose another path.")
    kinds = Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in visible)
    common = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(3))
    raise UserError(f"'{root}' has no images among its {len(visible)} files ({common}).")


def _hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)
