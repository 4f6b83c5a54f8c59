"""What a zip archive of images may hold: files inside of it, of sizes that images have."""

import stat
import zipfile
from pathlib import Path, PurePosixPath

from ganforge.utils.errors import UserError

# A bomb is small and unpacks to far too much. Photographs barely shrink in a zip; bitmaps of one
# colour shrink a thousandfold, but a large archive of nothing else is no data set.
LARGEST_MEMBER = 1 << 29  # bytes that one image may unpack to
MOST_EXPANSION = 100  # times its own size that an archive may unpack to ...
UNSUSPECTED = 1 << 30  # ... above this many bytes
MOST_MEMBERS = 20_000_000


def check_members(archive: zipfile.ZipFile, root: Path) -> None:
    """Raise a UserError for members outside of the archive, links, and bombs; unpacks nothing."""
    members = archive.infolist()
    for member in members:
        # Both spellings: zipfile turns a backslash into a slash on Windows alone.
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or member.filename[1:2] == ":":
            raise _refused(root, f"its member '{member.filename}' lies outside of it")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise _refused(root, f"its member '{member.filename}' is a symbolic link")
    if len(members) > MOST_MEMBERS:
        raise _refused(root, f"it names {len(members)} files")
    unpacked, packed = sum(member.file_size for member in members), root.stat().st_size
    if unpacked > UNSUSPECTED and unpacked > MOST_EXPANSION * packed:
        raise _refused(
            root,
            f"its {packed >> 10} KiB would unpack to {unpacked >> 20} MiB, as those of a bomb do",
        )


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Bytes of one member; an OSError where it would unpack to more than an image has."""
    size = archive.getinfo(name).file_size
    if size > LARGEST_MEMBER:
        raise OSError(f"it would unpack to {size >> 20} MiB")
    # zipfile reads no more than the size that the archive's directory states.
    return archive.read(name)


def _refused(root: Path, why: str) -> UserError:
    return UserError(
        f"The archive '{root}' is not to be trusted: {why}; look into it, and pack the images anew."
    )
