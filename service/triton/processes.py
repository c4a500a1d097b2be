"""What /proc says about the server's children: each instance of a model lives in a stub process of its own."""

import contextlib
import os
import signal
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

STUB = "triton_python_backend_stub"
SERVER = "tritonserver"


def _processes() -> Iterator[int]:
    return (int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal())


def _command(pid: int) -> tuple[str, ...]:
    """Return a process's command line.

    Raises:
        OSError: It has gone.
    """
    return tuple(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0"))


def stubs(server_pid: int) -> dict[int, tuple[str, ...]]:
    """Return the living stub processes of a server with their command lines, by process number."""
    found: dict[int, tuple[str, ...]] = {}
    for pid in _processes():
        try:
            # pid (name) state ppid …; the name may hold spaces and brackets
            state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) != server_pid or state == "Z":
                continue
            command = _command(pid)
        except (OSError, ValueError):
            continue  # it went while it was looked at
        if Path(command[0]).name == STUB:
            found[pid] = command
    return found


def serves(command: tuple[str, ...], model: str) -> bool:
    """Return whether a stub's command line names an instance of ``model``."""
    return any(part == model or part.startswith(f"{model}_") for part in command)


def is_running(pid: int) -> bool:
    """Return whether a process exists and has not ended; one that nobody has waited for yet has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def end_orphans(known: Mapping[int, tuple[str, ...]]) -> None:
    """Kill stubs whose server is dead; they would keep its ports for some time.

    Args:
        known: Process numbers with command lines as :func:`stubs` returned them; a number that has since been given to
            another program is left alone.
    """
    for pid, command in known.items():
        with contextlib.suppress(OSError):
            if _command(pid) == tuple(command):
                os.kill(pid, signal.SIGKILL)


def end_abandoned(prefixes: Collection[str]) -> None:
    """Kill servers and stubs of gateways that are dead: they end in their own time, and keep their ports until then.

    Args:
        prefixes: Of the dead gateways' shared memory, which the command lines name.
    """
    for pid in _processes():
        with contextlib.suppress(OSError):
            program, *arguments = _command(pid)
            named = any(prefix in argument for argument in arguments for prefix in prefixes)
            if named and Path(program).name in (SERVER, STUB):
                os.kill(pid, signal.SIGKILL)
