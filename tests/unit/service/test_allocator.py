"""Memory that was freed between what is kept goes back to the system."""

import subprocess
import sys

PROGRAM = """
import ctypes
import os
import sys
from pathlib import Path

from service.allocator import return_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

libc.free(libc.malloc(16 << 20))  # glibc now keeps blocks of less than this in its heaps
blocks = []
for _ in range(100):
    block = libc.malloc(2 << 20)
    ctypes.memset(block, 1, 2 << 20)
    blocks.append(block)
    libc.malloc(64)  # kept for ever
full = resident_mib()
for block in blocks:
    libc.free(block)
freed = resident_mib()
can = return_freed_memory()
print(can, full - freed, freed - resident_mib())
"""


def test_what_was_freed_between_kept_blocks_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    can, by_itself_mib, returned_mib = done.stdout.split()
    if can == "True":  # glibc
        assert int(by_itself_mib) < 50, "nothing to mend"
        assert int(returned_mib) > 150
