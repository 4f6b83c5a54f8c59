"""Checkpoint files that can be trusted: checked when written, and again before they are used.

``SHA256SUMS`` in their folder lists their hashes, as ``sha256sum --check`` reads them.
"""

from pathlib import Path

from ganforge.utils.files import atomic_path, file_sha256, publish

SUMS = "SHA256SUMS"
NAMES = ("last.ckpt", "previous.ckpt", "best.ckpt")


def replace_checkpoint(temporary: Path, path: Path, sha256: str) -> None:
    """Let a finished checkpoint of known hash take the place of ``path``.

    The last one becomes ``previous.ckpt``. At every moment in between, each of the files has a name
    and its hash is listed: whatever kill comes, a good one is found again.
    """
    known = read_sums(path.parent)
    write_sums(path.parent, {**known, temporary.name: sha256})
    if path.name == "last.ckpt" and path.exists():
        path.replace(path.with_name("previous.ckpt"))
        known["previous.ckpt"] = known.get("last.ckpt", "")
    publish(temporary, path)
    known[path.name] = sha256
    present = {name: digest for name, digest in known.items() if digest and name in NAMES}
    write_sums(path.parent, present)


def is_good(path: Path) -> bool | None:
    """Whether a checkpoint is as it was written; None where its hash is not known."""
    if not path.is_file():
        return False
    sums = read_sums(path.parent)
    # By content first: a kill may have come between a renaming and its record.
    if sums and file_sha256(path) in sums.values():
        return True
    return False if path.name in sums else None


def read_sums(folder: Path) -> dict[str, str]:
    """Hex SHA-256 by file name; empty where there is no list, or none that can be read."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    parts = (line.split(maxsplit=1) for line in lines)
    return {part[1].lstrip("*"): part[0] for part in parts if len(part) == 2}


def write_sums(folder: Path, sums: dict[str, str]) -> None:
    """Replace the list."""
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    with atomic_path(folder / SUMS) as temporary:
        temporary.write_text(text, encoding="utf-8")
