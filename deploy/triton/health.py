"""Say by the exit code whether Triton in this container really answers, and end it where only a restart can help.

Docker has one check where Kubernetes has three, and restarts what has ended, not what is unhealthy: so when a process
of a model is dead, which nothing else repairs, the server is told to stop and the restart policy brings it back.
"""

import json
import os
import signal
import sys
from pathlib import Path

from probe import UnwellError, dead_stubs, probe

ADDRESS = f"127.0.0.1:{os.environ.get('TRITON_HTTP_PORT', '8000')}"
CANARIES = Path(__file__).with_name("canaries.json")


def main() -> int:
    """Ask as Kubernetes' liveness probe does."""
    try:
        probe("live", ADDRESS, json.loads(CANARIES.read_text(encoding="utf-8")))
    except (UnwellError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        if dead_stubs(ADDRESS):
            os.kill(1, signal.SIGTERM)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
