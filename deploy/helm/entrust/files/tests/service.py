"""Ask a gateway whether it is ready and what it serves: ``python -c … <address> [--certificate …] [--tokens …]``."""

import argparse
import json
import ssl
import urllib.request
from typing import Any

parser = argparse.ArgumentParser()
parser.add_argument("address")
parser.add_argument("--certificate", help="The gateway's own; no other is believed.")
parser.add_argument("--tokens", help="File whose first line lets in.")
options = parser.parse_args()

headers, context = {}, None
if options.tokens:
    with open(options.tokens, encoding="utf-8") as file:
        headers["Authorization"] = f"Bearer {file.readline().strip()}"
if options.certificate:
    context = ssl.create_default_context(cafile=options.certificate)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is the anchor, whoever signed it
    context.check_hostname = False  # and it need not name the service within the cluster


def get(path: str) -> Any:
    request = urllib.request.Request(options.address + path, headers=headers)
    with urllib.request.urlopen(request, timeout=30, context=context) as response:
        return json.load(response)


health = get("/health/ready")  # anything but 200 is an exception, and a failed test
assert health["status"] == "ready", health
served = [model["task"] for model in get("/v1/models")["models"] if model["ready"]]
assert served, "no task is served"  # that every deployed one is, the gateway's own readiness has told
print("ready:", ", ".join(served))
