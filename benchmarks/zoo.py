"""Put a run among the ready-made models: python -m benchmarks.zoo outputs/avatars32.

The name is that of the run's folder. What was there is replaced.
"""

import sys
from pathlib import Path

from ganforge.sharing.export import Wish, fill
from ganforge.trained.load import load_run
from ganforge.trained.named import MODELS, ZOO
from ganforge.utils.folders import atomic_folder

LARGEST = 6_000_000


def main(run: str) -> None:
    """Write the bundle and say how large it is."""
    loaded = load_run(run, device="cpu")
    name = loaded.run.folder.name
    with atomic_folder(MODELS / name) as folder:
        fill(loaded, folder, ZOO + name, Wish(license="MIT", half=True))
    files = [*(MODELS / name).iterdir()]
    size = sum(file.stat().st_size for file in files)
    print(f"{MODELS / name}: {', '.join(sorted(f.name for f in files))}; {size / 1e6:.2f} MB")
    if size > LARGEST:
        raise SystemExit(f"that is more than {LARGEST / 1e6:.0f} MB: the wheel is to stay small")


if __name__ == "__main__":
    main(*map(str, map(Path, sys.argv[1:])))
