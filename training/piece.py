"""A piece of a long computation: it has a name, can be interrupted at any moment, and goes on where it stopped."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch

from entrust.errors import InvalidInputError
from training.fit import device

MAX_RESULT_BYTES = 16_000_000
"""Of one file of a piece's results; larger ones would not come back from the machine."""
MIN_SECONDS = 5.0
"""With less time left, no further piece is begun."""
DONE = "done.json"


@dataclass(frozen=True)
class Piece:
    """Something to compute.

    Attributes:
        name: Unique; a relative path, under which its files lie.
        run: Computes it in a folder of its own, which in the end holds its results: weights and metrics. It must bear
            to be stopped between any two instructions and to be called again with the same folder. What earlier
            pieces left lies beside it.
    """

    name: str
    run: Callable[[Path], None]


@dataclass
class Progress:
    """What one call got done.

    Attributes:
        finished: Names of the pieces it finished.
        interrupted: Name of the piece that it ran out of time in.
        failed: Names of pieces that raised, with the error's text.
        remaining: How many pieces are still to be done, those that failed among them.
    """

    finished: list[str] = field(default_factory=list)
    interrupted: str | None = None
    failed: dict[str, str] = field(default_factory=dict)
    remaining: int = 0


class TimeIsUp(BaseException):
    """The call's time is over; no piece may catch it, whence the base class."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`TimeIsUp` in the body after some seconds; for the main thread alone, as signals are."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, stop)
    # again and again: an alarm that meets a destructor is swallowed with the destructor's errors
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), 5.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def run_pieces(pieces: Sequence[Piece], folder: Path, out: Path, seconds: float) -> Progress:
    """Run the pieces that are not done, in order, until the time is over.

    Args:
        pieces: All of the computation.
        folder: Keeps the pieces' folders from call to call. On another machine, those of the finished pieces are enough
            to go on.
        out: Gets a copy of every piece's folder that this call finishes.
        seconds: Of this call.

    Returns:
        What was done; a piece that fails does not keep the others from running.

    Raises:
        InvalidInputError: Two pieces of one name.
    """
    names = [piece.name for piece in pieces]
    if len(set(names)) != len(names):
        raise InvalidInputError("Two pieces have one name.", fix="A piece's name must be its own.")
    end, progress = time.monotonic() + seconds, Progress()
    waiting = [piece for piece in pieces if not (folder / piece.name / DONE).exists()]
    for piece in waiting:
        left = end - time.monotonic()
        if left < min(MIN_SECONDS, 0.5 * seconds):
            break
        try:
            with time_limit(left):
                seconds_taken = _run(piece, folder / piece.name)
            _finish(piece, folder / piece.name, out / piece.name, seconds_taken)  # no alarm between copy and mark
        except TimeIsUp:
            progress.interrupted = piece.name
            break
        except Exception as error:  # whatever it is, the other pieces can still be done
            progress.failed[piece.name] = f"{type(error).__name__}: {error}"
        else:
            progress.finished.append(piece.name)
    progress.remaining = len(waiting) - len(progress.finished)
    return progress


def _run(piece: Piece, folder: Path) -> float:
    """Run one piece; return the seconds it took in this call."""
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    piece.run(folder)
    return time.perf_counter() - start


def _finish(piece: Piece, folder: Path, out: Path, seconds: float) -> None:
    """Copy a finished piece's folder, and mark both done, its own last: it is skipped only where ``out`` has it."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > MAX_RESULT_BYTES:
            raise InvalidInputError(
                f"{path.name} has {path.stat().st_size / 1e6:.0f} MB, more than can be taken away.",
                fix="Split it, or store it in half precision.",
            )
    facts = {
        "piece": piece.name,
        "seconds_of_the_last_call": round(seconds, 1),
        "device": torch.cuda.get_device_name() if device().type == "cuda" else "CPU",
        "torch": torch.__version__,
    }
    if folder.resolve() != out.resolve():
        shutil.copytree(folder, out, dirs_exist_ok=True)
    for place in (out, folder):
        partial = place / f"{DONE}.part"
        partial.write_text(json.dumps(facts, indent=1))
        os.replace(partial, place / DONE)
