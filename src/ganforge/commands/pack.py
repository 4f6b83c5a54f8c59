"""``ganforge pack``: write a data set as an indexed stream."""

import shutil
import uuid
from pathlib import Path

from omegaconf import DictConfig

from ganforge.commands.common import build
from ganforge.data.module import check_whole
from ganforge.data.packing import pack as write_stream
from ganforge.utils.errors import UserError
from ganforge.utils.terminal import command, shown, terminal, typed


def pack(config: DictConfig) -> None:
    """Write both splits into a new folder; it appears when it is complete."""
    output = Path(config.output).expanduser()
    check_whole("chunk_mb", config.chunk_mb)
    if output.exists():
        raise UserError(f"output={output} exists: name a new folder, nothing is overwritten")
    if "source" not in config.data or "size" not in config.data:
        raise UserError(f"data={config.data.name} has no images of one source that can be packed")
    source, size, channels = build(config.data.source), config.data.size, config.data.channels
    temporary = output.with_name(f".{output.name}.{uuid.uuid4().hex[:8]}")
    try:
        counts = write_stream(source, size, channels, temporary, config.chunk_mb)
        temporary.replace(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _report(output, counts, size, channels)


def _report(output: Path, counts: dict[str, int], size: int, channels: int) -> None:
    weight = sum(path.stat().st_size for path in output.rglob("*.bin"))
    console = terminal(soft_wrap=True)
    images = ", ".join(f"{count} {split}" for split, count in counts.items())
    console.print(f"Packed {images} images of {channels}×{size}×{size}: {weight / 1e6:.1f} MB")
    shape = [f"data.size={size}", *([f"data.channels={channels}"] if channels != 3 else [])]
    words = (typed("ganforge"), "train", "data=streaming", f"data.path={shown(output)}", *shape)
    console.print(f"\nNext\n  {command(*words)}")
