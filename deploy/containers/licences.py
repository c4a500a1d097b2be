"""Fail on a licence that Apache-2.0 cannot live with: ``pip-licenses --format=json | licences.py``.

The policy (``licences.toml``) is a list of what is allowed: a licence that nobody has looked at is refused as well.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

POLICY = Path(__file__).with_name("licences.toml")
OURSELVES = "entrust-serve"


def load_policy() -> dict[str, Any]:
    """Read the policy."""
    return tomllib.loads(POLICY.read_text())


def is_allowed(name: str, licence: str, policy: Mapping[str, Any]) -> bool:
    """Tell whether a package may be there.

    Args:
        name: The package.
        licence: An SPDX expression without brackets, or the words of its classifiers, several of them parted by ``;``.
        policy: As :func:`load_policy` returned it.
    """
    allowed = set(policy["permissive"])
    if name in policy["reasons"]:
        allowed |= set(policy["weak_copyleft"])
    if licence in allowed:
        return True
    choices = re.split(r"\s+OR\s+", licence)
    return any(all(part.strip() in allowed for part in re.split(r"\s+AND\s+|;", choice)) for choice in choices)


def refused(packages: Iterable[Mapping[str, str]], policy: Mapping[str, Any]) -> list[str]:
    """Return a line for each package that may not be there."""
    return [
        f"{package['Name']} {package['Version']}: {package['License']}"
        for package in packages
        if package["Name"] != OURSELVES and not is_allowed(package["Name"], package["License"], policy)
    ]


def main() -> int:
    """Read pip-licenses' JSON from standard input and judge it."""
    packages = json.load(sys.stdin)
    if len(packages) < 2:
        print("No packages: was the list made of the right environment?", file=sys.stderr)
        return 1
    faults = refused(packages, load_policy())
    for fault in faults:
        print(f"not allowed by {POLICY.name}: {fault}", file=sys.stderr)
    print(f"{len(packages)} packages, {len(faults)} with a licence that is not allowed")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
