import subprocess
import sys

from ganforge.utils import memory

PROGRAM = """
import resource
import torch
from ganforge.utils.memory import keep_freed_memory

told = {keep} and keep_freed_memory()
for _ in range(3):
    torch.zeros(20_000_000).add_(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.zeros(20_000_000).add_(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, told)
"""


def faults(keep):
    program = [sys.executable, "-c", PROGRAM.format(keep=keep)]
    count, told = subprocess.run(program, capture_output=True, text=True, check=True).stdout.split()
    return int(count), told == "True"


def test_freed_blocks_are_not_faulted_in_again():
    kept, told = faults(True)
    if told:  # glibc
        assert kept < faults(False)[0] / 2


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(memory.ctypes, "CDLL", None)
    assert memory.keep_freed_memory() is False
