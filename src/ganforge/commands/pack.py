"""``ganforge pack``: write a data set as an indexed stream."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from ganforge.config.build import build
from ganforge.data.module import check_whole
from ganforge.data.packing import pack as write_stream
from ganforge.utils.errors import UserError
from ganforge.utils.terminal import command, command_name, relative_path, terminal


def pack(config: DictConfig) -> None:
    """Write both splits into a new folder; it appears when it is complete."""
    output = Path(config.output).expanduser()
    check_whole("chunk_mb", config.chunk_mb)
    if output.exists():
        raise UserError(f"output={output} exists: name a new folder, nothing is overwritten")
    if "source" not in config.data or "size" not in config.data:
        raise UserError(f"data={config.data.name} has no images of one source that can be packed")
    if config.data.channels not in (1, 3):
        raise UserError(f"data.channels={config.data.channels} is neither 1 (grey) nor 3 (colour)")
    source, size, channels = build(config.data.source), config.data.size, config.data.channels
    with _place_beside(output) as temporary:
        counts = write_stream(source, size, channels, temporary, config.chunk_mb)
        temporary.replace(output)
    _report(output, counts, size, channels)


@contextmanager
def _place_beside(output: Path) -> Iterator[Path]:
    """A new folder beside ``output`` for one process; what a killed one left there is cleared."""
    place = output.with_name(f".{output.name}.packing")
    place.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"output={output} is being packed by another process: wait for its end, or stop it"
        ) from error
    try:
        shutil.rmtree(place / "set", ignore_errors=True)
        yield place / "set"
    finally:
        shutil.rmtree(place, ignore_errors=True)
        lock.release()


def _report(output: Path, counts: dict[str, int], size: int, channels: int) -> None:
    weight = sum(path.stat().st_size for path in output.rglob("*.bin"))
    console = terminal(soft_wrap=True)
    images = ", ".join(f"{count} {split}" for split, count in counts.items())
    console.print(f"Packed {images} images of {channels}×{size}×{size}: {weight / 1e6:.1f} MB")
    shape = [f"data.size={size}", *([f"data.channels={channels}"] if channels != 3 else [])]
    words = (
        command_name("ganforge"),
        "train",
        "data=streaming",
        f"data.path={relative_path(output)}",
        *shape,
    )
    console.print(f"\nNext\n  {command(*words)}")
