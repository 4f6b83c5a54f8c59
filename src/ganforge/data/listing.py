"""The image files in a folder or a zip archive, named but not yet read."""

import hashlib
import json
import logging
import os
import stat
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from ganforge.data.archive import check_members, read_member
from ganforge.data.ends import looks_whole
from ganforge.data.parallel import map_threads, patient_progress
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.files import write_json

log = logging.getLogger(__name__)

HEIF = frozenset((".heic", ".heif", ".hif"))
HAS_HEIF = find_spec("pillow_heif") is not None
SUFFIXES = frozenset(
    f".{kind}"
    for kind in (
        *("apng", "avif", "bmp", "gif", "ico", "j2k", "jfif", "jp2", "jpe", "jpeg", "jpg", "pbm"),
        *("pgm", "png", "pnm", "ppm", "tga", "tif", "tiff", "webp"),
    )
) | (HEIF if HAS_HEIF else frozenset())

# What systems put beside pictures: thumbnails of a NAS, forks of macOS, waste baskets.
NO_DATA = frozenset(
    ("__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information",
     "thumbs.db", "desktop.ini")
)  # fmt: skip
RUN = {".hydra", "sweep.json"}  # in a folder whose pictures training drew
SYSTEM = ("/proc", "/sys", "/dev")
KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
NOT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # each of one system
WHOLE = 1 << 16  # bytes: smaller files enter the digest whole, of larger ones some parts do
PART = 1 << 14
SOON = 1 << 28  # bytes that are unpacked to see whether members are whole
UNPACKING = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
SETTLED_NS = 2 * 10**9  # a file changed later than so long ago may change again within its time


@dataclass(frozen=True)
class Listing:
    """The image files under ``root``; ``stamp`` identifies a zip archive, None for a folder.

    Below ``data_dir`` the digest of an unchanged set is remembered.
    """

    root: Path
    stamp: tuple[int, ...] | None
    data_dir: Path | None = None

    @property
    def names(self) -> list[str]:
        """Relative names of the image files, sorted."""
        return self._found.named(self.root)

    @property
    def unreadable(self) -> list[str]:
        """Folders that cannot be looked into, each with the reason."""
        return self._found.unreadable

    @property
    def left_out(self) -> Counter[str]:
        """How many files are of a kind that is not read, by suffix."""
        return self._found.others

    @cached_property
    def suspects(self) -> list[str]:
        """Names of files whose first and last bytes are not those of a whole image."""
        return _zip_suspects(self) if self.stamp is not None else self._content[1]

    @cached_property
    def twins(self) -> int:
        """How many files have the bytes of one before them."""
        if self.stamp is not None:
            archive, raw = _open_zip(self.root, self.stamp)
            infos = (archive.getinfo(raw.get(name, name)) for name in self.names)
            return len(self.names) - len({(info.CRC, info.file_size) for info in infos})
        sizes: dict[int, list[str]] = {}
        for name in self.names:
            with suppress(OSError):
                sizes.setdefault((self.root / name).stat().st_size, []).append(name)
        return sum(self._repeated(names) for names in sizes.values() if len(names) > 1)

    def _repeated(self, names: Sequence[str]) -> int:
        seen = set()
        for name in names:
            with suppress(OSError):
                seen.add(hashlib.sha256(self.read(name)).digest())
        return len(names) - len(seen)

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 that changes with the names and the content of the files.

        Of a zip it takes the checksums that the archive's directory states. Of files above
        ``WHOLE`` bytes it takes the time of the last change and some parts. Where neither number,
        size nor time of any file has changed, it is what was found before.
        """
        state = self._found.state if self.stamp is None else f"{self.stamp}"
        memo = self._memo
        if memo is not None and (known := _read_memo(memo, state)) is not None:
            return known
        digest = _zip_digest(self) if self.stamp is not None else self._content[0]
        settled = self._found.newest < time.time_ns() - SETTLED_NS
        if memo is not None and settled and not self.unreadable:
            with suppress(OSError, UserError):  # a cache that takes nothing costs time alone
                write_json({"state": state, "digest": digest}, memo)
        return digest

    def read(self, name: str) -> bytes:
        """Return the bytes of one file; raises OSError, BadZipFile or zlib.error if it cannot."""
        if self.stamp is None:
            return read_file(self.root / name)
        archive, raw = _open_zip(self.root, self.stamp)
        return read_member(archive, raw.get(name, name))

    @cached_property
    def _found(self) -> "_Found":
        return _walk(self.root) if self.stamp is None else _members(self)

    @cached_property
    def _content(self) -> tuple[str, list[str]]:
        """The digest of a folder's files, and the names of those that do not look whole."""
        names, digest, suspects = self.names, hashlib.sha256(), []
        parts = (names[start : start + 256] for start in range(0, len(names), 256))

        def looked_at(part: list[str]) -> list[tuple[bytes, bool]]:
            return [_look(os.path.join(self.root, name)) for name in part]

        what = "looking at the images"
        for part, looks in map_threads(looked_at, parts, len(names), what):
            for name, (content, whole) in zip(part, looks, strict=True):
                digest.update(_encoded(name) + b"\0" + content)
                if not whole:
                    suspects.append(name)
        return digest.hexdigest(), suspects

    @property
    def _memo(self) -> Path | None:
        if self.data_dir is None:
            return None
        place = hashlib.sha256(os.fsencode(os.path.realpath(self.root))).hexdigest()
        return self.data_dir / "listings" / f"{place[:32]}.json"


@dataclass
class _Found:
    """What lies under a root, before anything is read."""

    names: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    state: str = ""
    """Hex digest of the names, numbers, sizes and times of the images."""
    newest: int = 0
    """Time of the latest change, in nanoseconds."""

    def named(self, root: Path) -> list[str]:
        """The names; a UserError where there are none."""
        if self.names:
            return self.names
        if self.unreadable:
            raise DamagedFileError(
                f"'{root}' has no images that can be read; what cannot be looked into: "
                f"{some(self.unreadable)}."
            )
        if not self.others:
            raise UserError(f"'{root}' is empty: put images into it or choose another path.")
        raise UserError(
            f"'{root}' has no images among its {self.others.total()} files ({kinds(self.others)})."
            + heif_hint(self.others)
        )


def list_images(path: Path | str, data_dir: Path | str | None = None) -> Listing:
    """List the images of a folder (with its subfolders) or of a zip archive."""
    root = Path(path).expanduser()
    memo = None if data_dir is None else Path(data_dir).expanduser()
    try:
        found = root.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"There is no folder or zip archive '{root.absolute()}'.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"'{root}' cannot be reached ({reason}).") from error
    if stat.S_ISDIR(found.st_mode):
        return Listing(root, None, memo)
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"'{root}' is {_kind(found)}, neither a folder nor a zip archive.")
    if not os.access(root, os.R_OK):
        raise UserError(f"'{root}' may not be read by this user: change its permissions.")
    if zipfile.is_zipfile(root):
        return Listing(root, _identity(found), memo)
    if root.suffix.lower() == ".zip":
        raise DamagedFileError(f"'{root}' is not a readable zip archive: it is damaged or cut off.")
    raise UserError(f"'{root}' is neither a folder nor a zip archive of images.")


def read_file(path: Path | str) -> bytes:
    """Bytes of a regular file; an OSError, without waiting, for a pipe, a socket or a device."""
    with open(_opened(path), "rb") as file:
        return file.read()


def left_out(listing: Listing) -> str | None:
    """A sentence on the files that are not read, or None where there are none."""
    if not listing.left_out:
        return None
    count = listing.left_out.total()
    return (
        f"Left out in '{listing.root}': {count} files that are not read as images "
        f"({kinds(listing.left_out)}).{heif_hint(listing.left_out)}"
    )


def kinds(others: Counter[str]) -> str:
    """The commonest suffixes in words, with their counts."""
    common = ", ".join(f"{count} {kind}" for kind, count in others.most_common(5))
    return common + (f", {len(others) - 5} more kinds" if len(others) > 5 else "")


def heif_hint(others: Iterable[str]) -> str:
    """What to install where there are pictures that an optional library reads."""
    if HEIF.isdisjoint(others):
        return ""
    return " pip install 'ganforge[heic]' has HEIC read."


def _walk(root: Path) -> _Found:
    with patient_progress("listing files") as advance:
        return _walked(root, advance)


def _walked(root: Path, advance: Callable[[int], None]) -> _Found:
    found, digest = _Found(), hashlib.sha256()
    seen, waiting = set(), [""]
    while waiting:
        folder = waiting.pop()
        place = os.path.join(root, folder)
        real = os.path.realpath(place)
        if real in seen:  # a link back up would never end
            continue
        seen.add(real)
        _refuse_system(real, place)
        try:
            with os.scandir(place) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError as error:
            found.unreadable.append(f"{folder or '.'} ({error.strerror})")
            continue
        if folder and RUN & {entry.name for entry in entries}:
            found.others["run of ganforge"] += 1
            continue
        waiting += [folder + entry.name + "/" for entry in reversed(entries) if _is_folder(entry)]
        files = (entry for entry in entries if not (_no_data(entry.name) or _is_folder(entry)))
        lines = []
        for entry in files:
            lines += _line(entry, folder, found)
            advance(1)
        digest.update(b"\n".join(lines))
    found.names.sort()
    found.state = f"{root.stat().st_dev} {digest.hexdigest()}"
    return found


def _line(entry: os.DirEntry[str], folder: str, found: _Found) -> Iterator[bytes]:
    """Note one file; an image's line says whether it has changed."""
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix not in SUFFIXES:
        found.others[suffix or "no suffix"] += 1
        return
    name = folder + entry.name
    try:
        state = _identity(entry.stat())
    except OSError:  # a link to nothing: reading it names it as a bad image
        state = ()
    found.names.append(name)
    found.newest = max(found.newest, *state[-1:], 0)
    yield _encoded(f"{name}\0{state}")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return not _no_data(entry.name) and entry.is_dir()
    except OSError:
        return False


def _refuse_system(real: str, place: str) -> None:
    for system in SYSTEM:
        inside = real == system or real.startswith(system + "/")
        if inside and not f"{real}/".startswith("/dev/shm/"):
            raise UserError(
                f"'{place.rstrip('/')}' belongs to the system's {system}, which holds no pictures: "
                "choose another path, or remove the link to it."
            )


def _members(listing: Listing) -> _Found:
    archive, raw = _open_zip(listing.root, listing.stamp)
    check_members(archive, listing.root)
    found = _Found(newest=listing.stamp[-1])
    # A name that occurs twice is one file: the last, as zipfile reads it.
    for name in dict.fromkeys(archive.namelist()):
        name = _slashes(name) if raw else name
        if name.endswith("/") or any(_no_data(part) for part in name.split("/")):
            continue
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in SUFFIXES:
            found.names.append(name)
        else:
            found.others[suffix or "no suffix"] += 1
    found.names.sort()
    return found


def _zip_digest(listing: Listing) -> str:
    archive, raw = _open_zip(listing.root, listing.stamp)
    digest = hashlib.sha256()
    for name in listing.names:
        info = archive.getinfo(raw.get(name, name))
        digest.update(_encoded(f"{name}\0{info.file_size}\0{info.CRC}\n"))
    return digest.hexdigest()


def _zip_suspects(listing: Listing) -> list[str]:
    """Members that do not look whole; none of an archive that would take long to unpack."""
    archive, raw = _open_zip(listing.root, listing.stamp)
    names = listing.names
    if sum(archive.getinfo(raw.get(name, name)).file_size for name in names) > SOON:
        return []
    suspects = []
    with patient_progress("looking at the images", len(names)) as advance:
        for name in names:
            advance(1)
            try:
                data = listing.read(name)
            except UNPACKING:
                suspects.append(name)
                continue
            if not looks_whole(data, data[-1024:], len(data)):
                suspects.append(name)
    return suspects


@lru_cache(maxsize=2)
def _open_zip(root: Path, stamp: tuple[int, ...]) -> tuple[zipfile.ZipFile, dict[str, str]]:
    """Open a zip once per process, for its directory is long; ``stamp`` tells a newer file.

    Beside it: the real name of each member, where Windows wrote backslashes between folders.
    """
    del stamp
    try:
        archive = zipfile.ZipFile(root)
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise DamagedFileError(f"The zip archive '{root}' cannot be read: {error}.") from error
    names = archive.namelist()
    return archive, {_slashes(n): n for n in names} if any("\\" in n for n in names) else {}


def _slashes(name: str) -> str:
    return name.replace("\\", "/")


def _look(path: str) -> tuple[bytes, bool]:
    """Digest of a file's size and bytes (of a large one: of parts), and whether it looks whole."""
    try:
        with open(_opened(path), "rb", buffering=0) as file:
            found = os.fstat(file.fileno())
            size = found.st_size
            if size <= WHOLE:
                data = file.read(size)
                return hashlib.sha256(data).digest(), looks_whole(data, data[-1024:], size)
            parts = []
            for place in (0, size // 3, 2 * size // 3, size - PART):
                file.seek(place)
                parts.append(file.read(PART))
            digest = hashlib.sha256(f"{size} {found.st_mtime_ns}".encode())
            for part in parts:
                digest.update(part)
            return digest.digest(), looks_whole(parts[0], parts[-1], size)
    except OSError as error:
        return f"{error.errno}".encode(), False


def _opened(path: Path | str) -> int:
    """Descriptor of a regular file; opening a pipe would else wait for a writer."""
    descriptor = os.open(path, os.O_RDONLY | NOT_WAITING)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise OSError(f"it is {_kind(found)}, not a file")
    return descriptor


def _kind(found: os.stat_result) -> str:
    return KINDS.get(stat.S_IFMT(found.st_mode), "a folder")


def _identity(found: os.stat_result) -> tuple[int, ...]:
    """What no change of a file leaves as it was: the time of its entry cannot be set."""
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _no_data(name: str) -> bool:
    return name.startswith(".") or name.lower() in NO_DATA


def some(bad: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    return ", ".join(bad[:5]) + (f", … ({len(bad) - 5} more)" if len(bad) > 5 else "")


def _read_memo(path: Path, state: str) -> str | None:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return known["digest"] if known["state"] == state else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
