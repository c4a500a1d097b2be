"""Become another program that stops when its parent stops: ``python launch.py <parent's number> <program> <args…>``.

Run as a file by a bare interpreter. Doing this between fork and exec of the gateway instead would run gRPC's fork
handlers in a process full of threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):  # it stopped before we asked to be told
        raise SystemExit(1)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606
