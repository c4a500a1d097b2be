"""Say by the exit code whether the gateway in this container can work; needs nothing but Python."""

import os
import sys
import urllib.error
import urllib.request

if __name__ == "__main__":
    port = os.environ.get("ENTRUST_REST__PORT", "8080")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=4):
            print("ready")
    except (OSError, urllib.error.URLError) as error:
        sys.exit(f"not ready: {error}")
