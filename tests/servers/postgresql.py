"""A real PostgreSQL, in a folder of its own on a free port."""

import getpass
import glob
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.prometheus.server import free_port

START_SECONDS = 60.0


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Address of a database that is empty when the session starts."""
    found = shutil.which("initdb") or next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))), "")
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()  # it refuses to run as root
    if not found or user not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("not installed: PostgreSQL (apt-get install postgresql)")
    programs, port = Path(found).resolve().parent, free_port()
    # not Popen(user=...): that forks this process, which gRPC's threads do not always survive
    become = ["setpriv", "--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--init-groups"]
    as_user = become if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="entrust-postgresql-"))
    try:
        if as_user:
            shutil.chown(folder, user)
        data, log = folder / "data", folder / "log"
        command = [*as_user, programs / "initdb", "--auth=trust", "--username=entrust", "--no-sync", "-D", data]
        subprocess.run(command, check=True, capture_output=True, cwd="/")
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
        with log.open("wb") as out:
            server = subprocess.Popen(
                [*as_user, programs / "postgres", "-D", data, *options], stdout=out, stderr=out, cwd="/"
            )
        try:
            deadline = time.monotonic() + START_SECONDS
            ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            while subprocess.run(ready, check=False).returncode != 0:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield f"postgresql://entrust@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(30)
    finally:
        shutil.rmtree(folder)
