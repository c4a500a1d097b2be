"""Say by the exit code whether Triton in this container really answers; needs nothing but Python.

Triton goes on saying *ready* when a model's process is dead. Every model is therefore asked a small question, prepared
when the image was built. A server whose model is dead is ended: nothing else repairs it, and the restart policy of the
container brings it back.
"""

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

URL = os.environ.get("TRITON_HTTP_URL", "http://127.0.0.1:8000")
QUESTIONS = Path("/opt/triton/questions")
HEADER_LENGTH = "Inference-Header-Content-Length"
DEAD_STUB = "is not healthy"


def ask(question: Path) -> None:
    """Ask one question; a refusal raises."""
    model, length, _ = question.name.rsplit(".", 2)
    request = urllib.request.Request(
        f"{URL}/v2/models/{model}/infer",
        data=question.read_bytes(),
        headers={HEADER_LENGTH: length, "Content-Type": "application/octet-stream"},
    )
    with urllib.request.urlopen(request, timeout=15) as response:
        header = response.read(int(response.headers[HEADER_LENGTH]))
        if not json.loads(header)["outputs"]:
            raise ValueError(f"{model} answers without any tensor")


def main() -> int:
    """Ask everything."""
    try:
        with urllib.request.urlopen(f"{URL}/v2/health/ready", timeout=4):
            pass
        for question in sorted(QUESTIONS.glob("*.bin")):
            ask(question)
    except urllib.error.HTTPError as error:
        reason = error.read().decode(errors="replace")
        print(f"{error.code}: {reason[:300]}", file=sys.stderr)
        if DEAD_STUB in reason:
            os.kill(1, signal.SIGTERM)
        return 1
    except (OSError, ValueError, TypeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
