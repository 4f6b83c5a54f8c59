"""How the C library hands memory back to the system."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
KEPT = 1 << 30  # bytes


def keep_freed_memory() -> bool:
    """Let glibc reuse large blocks instead of returning each to the system; whether it will.

    Activations come and go with every batch. By default each such block is mapped anew and every
    page of it is faulted in again, which takes longer than the arithmetic of small networks.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return all(libc.mallopt(name, KEPT) == 1 for name in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD))
