"""Fingerprints of the cases: what a split was when its results were published, checked anywhere.

A digest covers the stored intensities as integers, presence, every reader's label map, the exact probabilities in steps
of 10⁻⁴, the joint table, and the displaced modalities: whatever a training run or an evaluation can see.
"""

import hashlib
import json
from collections.abc import Iterator
from importlib import resources

import numpy as np

from training.datasets.phantoms.world.case import DOMAINS, WorldCase, make_case
from training.datasets.phantoms.world.domain import Domain
from training.datasets.phantoms.world.splits import SPLITS, Split

SAMPLES = 4
"""Cases of each split whose own digests are kept, so that a test need not make all."""

STEP = 1e-4
PUBLISHED = resources.files("training.datasets.phantoms.world") / "checksums.json"


def case_digest(case: WorldCase) -> str:
    """Return the SHA-256 of everything that can be seen of a case, and of its truth."""
    quanta = np.array([c.quantum for c in case.domain.channels])[:, None, None, None]
    digest = hashlib.sha256(case.name.encode())
    for array, kind in (
        (np.rint(case.images / quanta), "<i4"),
        (case.presence, "u1"),
        (case.labels, "u1"),
        (np.rint(case.probability / STEP), "<i4"),
        (np.rint(case.table / STEP), "<i4"),
        (case.kinds, "u1"),
    ):
        digest.update(np.ascontiguousarray(array.astype(kind)).tobytes())
    return digest.hexdigest()


def split_digests(domain: Domain, split: Split) -> Iterator[str]:
    """Yield the digest of every case."""
    for index in range(split.cases):
        yield case_digest(make_case(domain, split, index))


def summary(digests: list[str]) -> dict[str, object]:
    """Return what is published of a split: the digest of its digests, and the first few."""
    whole = hashlib.sha256("".join(digests).encode()).hexdigest()
    return {"cases": len(digests), "sha256": whole, "first": digests[:SAMPLES]}


def published() -> dict[str, dict[str, dict[str, object]]]:
    """Return the published fingerprints by domain and split."""
    content: dict[str, dict[str, dict[str, object]]] = json.loads(PUBLISHED.read_text())
    return content


def measure(domains: list[str], splits: list[str]) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield domain, split and fingerprint, one split after the other."""
    for domain in domains or list(DOMAINS):
        for split in splits or list(SPLITS):
            yield domain, split, summary(list(split_digests(DOMAINS[domain], SPLITS[split])))
