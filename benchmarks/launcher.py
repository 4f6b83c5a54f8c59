"""What the process-per-job launcher costs a job beyond the start of its Python.

``python -m benchmarks.launcher`` sweeps 10 and 40 jobs of one and the same program that ends at
once, and starts that program as often by itself. Prints seconds a job, of the clock and of the
processor (of the sweep's own process, the jobs left out).
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ganforge import cli
from ganforge.sweeps import process

STUB = """
import pathlib, sys
outcome = '{"objective": "none", "value": 1.0, "step": 1}'
(pathlib.Path(sys.argv[1]) / "outcome.json").write_text(outcome)
"""


def sweep(count: int, folder: Path) -> tuple[float, float]:
    """Seconds of a sweep of ``count`` jobs: of the clock, and of this process's processor."""
    seeds = ",".join(map(str, range(count)))
    overrides = [f"seed={seeds}", f"hydra.sweep.dir={folder}"]
    sys.argv = ["ganforge", "train", "-m", "experiment=gaussian1d", *overrides]
    wall, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    cli.main()
    now = resource.getrusage(resource.RUSAGE_SELF)
    used = now.ru_utime + now.ru_stime - cpu.ru_utime - cpu.ru_stime
    return time.perf_counter() - wall, used


def alone(count: int, folder: Path) -> float:
    """Seconds of as many starts of the program by itself."""
    begun = time.perf_counter()
    for _ in range(count):
        subprocess.run([*process.JOB, str(folder)], check=True)
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "stub.py").write_text(STUB)
        process.JOB = (sys.executable, str(folder / "stub.py"))
        os.chdir(folder)
        sweep(1, folder / "first")  # imports
        few, many = sweep(10, folder / "few"), sweep(40, folder / "many")
        start = alone(20, folder) / 20
    a_job = (many[0] - few[0]) / 30
    print(f"RESULT start of Python alone    {start:.3f} s")
    print(f"RESULT a job of a sweep         {a_job:.3f} s")
    print(f"RESULT overhead of the launcher {a_job - start:.3f} s a job, "
          f"{(many[1] - few[1]) / 30:.3f} s of processor")  # fmt: skip
    print(f"RESULT sweep of 40, all in all  {many[0]:.2f} s")


if __name__ == "__main__":
    main()
