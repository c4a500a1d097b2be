"""Ask a gateway whether it is ready and what it serves: ``python -c … <address>``."""

import json
import sys
import urllib.request
from typing import Any

address = sys.argv[1]


def get(path: str) -> Any:
    with urllib.request.urlopen(address + path, timeout=30) as response:
        return json.load(response)


health = get("/health/ready")  # anything but 200 is an exception, and a failed test
assert health["status"] == "ready", health
models = get("/v1/models")["models"]
assert models, "no task is served"
for model in models:
    assert model["ready"], model
print("ready:", ", ".join(model["task"] for model in models))
