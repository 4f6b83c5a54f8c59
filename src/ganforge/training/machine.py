"""``ganforge checks``: what this machine is and has; ``ganforge clean``: what can be made again."""

import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ganforge.utils.errors import UserError

PARTS = {
    "cache": "decoded images of data sets",
    "statistics": "features of real images",
    "downloads": "files of data sets that were downloaded",
    "hub": "models that were fetched from the Hugging Face hub",
}
LIBRARIES = ("torch", "torchvision", "lightning", "hydra-core", "numpy", "pillow")


def data_dir() -> Path:
    """Where all runs share data, as ``conf/paths/default.yaml`` has it."""
    home = Path(os.environ.get("GANFORGE_DATA") or "~/.cache/ganforge")
    return home.expanduser()


def checks() -> str:
    """What a report of a fault needs."""
    import torch

    from ganforge.training.devices import pick_precision

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    lines = {
        "ganforge": version("ganforge"),
        "Python": f"{platform.python_version()} on {platform.platform()}",
        **{name: _version(name) or "missing" for name in LIBRARIES},
        "device": ", ".join(gpus) or f"CPU, {os.cpu_count()} cores",
        "precision": f"{pick_precision('auto')} (trainer.precision=auto)",
        "data": str(data_dir()),
        **{f"  {part}": megabytes(size(data_dir() / part)) for part in PARTS},
        "weights": ", ".join(sorted(_weights())) or "none",
        "extras": ", ".join(_extras()),
    }
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {told}" for name, told in lines.items())


def clean(parts: Sequence[str]) -> str:
    """Remove parts of the shared data; without a part, tell what there is."""
    if unknown := [part for part in parts if part not in PARTS]:
        raise UserError(f"there is no part {unknown[0]!r} to clean: there are {', '.join(PARTS)}")
    sizes = {part: megabytes(size(data_dir() / part)) for part in parts or PARTS}
    for part in parts:
        shutil.rmtree(data_dir() / part, ignore_errors=True)
    if parts:
        return "\n".join(f"removed {data_dir() / part} ({told})" for part, told in sizes.items())
    lines = [f"  {part:<10}  {told:>10}  {PARTS[part]}" for part, told in sizes.items()]
    return "\n".join(
        [f"{data_dir()} holds", *lines, "ganforge clean PART ... removes; runs stay as they are"]
    )


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(
        file.stat().st_size
        for file in folder.rglob("*")
        if file.is_file() and not file.is_symlink()
    )


def megabytes(count: int) -> str:
    """A size in words."""
    return f"{count / 1e6:,.1f} MB"


def _weights() -> Iterator[str]:
    shipped = Path(__file__).parents[1] / "metrics" / "weights"
    yield from (f"{file.stem} (shipped)" for file in shipped.glob("*.safetensors"))
    own = data_dir() / "weights"
    yield from (file.name for file in own.glob("*") if file.is_file())
    for name in ("INCEPTION", "CLIP", "DINOV2"):
        if path := os.environ.get(f"GANFORGE_{name}"):
            found = "" if Path(path).is_file() else ", which is missing"
            yield f"GANFORGE_{name}={path}{found}"


def _extras() -> Iterator[str]:
    """Each extra of the package, and whether what it needs is there."""
    from packaging.requirements import Requirement

    needs: dict[str, list[str]] = {}
    for line in requires("ganforge") or ():
        requirement = Requirement(line)
        _, _, extra = str(requirement.marker or "").partition('extra == "')
        if extra and extra != 'dev"':
            needs.setdefault(extra.rstrip('"'), []).append(requirement.name)
    for extra, names in needs.items():
        missing = [name for name in names if _version(name) is None]
        yield f"{extra} (missing: {', '.join(missing)})" if missing else extra


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
