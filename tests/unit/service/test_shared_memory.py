import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.shared_memory import FOLDER, Namespace, sweep

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def prefix(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    prefix = f"entrust_unit{os.getpid()}_"
    monkeypatch.setattr("service.shared_memory.PREFIX", prefix)
    yield prefix
    for path in FOLDER.glob(f"{prefix}*"):
        path.unlink()


def names(prefix: str) -> set[str]:
    return {path.name for path in FOLDER.glob(f"{prefix}*")}


def age(prefix: str) -> None:
    for path in FOLDER.glob(f"{prefix}*.lock"):
        os.utime(path, (time.time() - 60, time.time() - 60))


def test_a_closed_namespace_leaves_nothing(prefix: str) -> None:
    namespace = Namespace("client")
    (FOLDER / f"{namespace.prefix}_1").write_bytes(b"x")
    assert len(names(prefix)) == 2
    namespace.clear()
    assert names(prefix) == {f"{namespace.prefix}.lock"}
    namespace.close()
    namespace.close()
    assert names(prefix) == set()


def test_the_living_are_not_swept(prefix: str) -> None:
    namespace = Namespace("server")
    (FOLDER / f"{namespace.prefix}_1").write_bytes(b"x")
    age(prefix)
    assert sweep() == []
    assert len(names(prefix)) == 2
    namespace.close()


def test_what_a_killed_process_left_is_swept(prefix: str) -> None:
    code = f"""
import service.shared_memory as shm, time
shm.PREFIX = {prefix!r}
namespace = shm.Namespace("server")
(shm.FOLDER / (namespace.prefix + "_1")).write_bytes(b"x")
print("ready", flush=True)
time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    age(prefix)
    assert sweep() == [], "it is alive"
    process.kill()
    process.wait()
    process.stdout.close()
    assert len(sweep()) == 1
    assert names(prefix) == set()


def test_a_newborn_lock_is_left_alone(prefix: str) -> None:
    (FOLDER / f"{prefix}client_0.lock").touch()  # between the creation of the file and the lock on it
    assert sweep() == []
    age(prefix)
    assert len(sweep()) == 1
