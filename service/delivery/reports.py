"""What was asked of receivers in storage commitment, and what they said, in files that all processes share.

A receiver answers when it likes, on an association of its own, to whichever process serves our AE title: perhaps
another one than asked, perhaps after a restart.

    <folder>/<transaction>.json     target, instances, when it was asked, and the report once it is there
"""

import contextlib
import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from service.ingest.headers import deviations

_NAME = re.compile(r"2\.25\.\d{1,39}")
_FORGOTTEN_SECONDS = 30 * 86_400.0
"""After this nobody asks any more about what was never answered."""


@dataclass(frozen=True)
class Report:
    """What a receiver said.

    Attributes:
        committed: Instances for which it takes responsibility.
        failed: Reason by instance for which it does not.
    """

    committed: tuple[str, ...]
    failed: Mapping[str, int]


@dataclass(frozen=True)
class Transaction:
    """One request for storage commitment.

    Attributes:
        uid: Its name.
        target: Name of the receiver.
        instances: SOP instance UIDs, sorted.
        asked_at: Seconds since the epoch.
        report: What the receiver said; None so far.
    """

    uid: str
    target: str
    instances: tuple[str, ...]
    asked_at: float
    report: Report | None = None

    @property
    def age_seconds(self) -> float:
        """How long ago it was asked."""
        return time.time() - self.asked_at


class CommitmentReports:
    """The transactions of a deployment.

    Args:
        folder: Where they are kept; made when it does not exist, for this user alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open(self, target: str, instances: Sequence[str]) -> Transaction:
        """Note a request before it is made: the answer may be here first."""
        for old in self._all():
            if old.age_seconds > _FORGOTTEN_SECONDS:
                self.close(old)
        transaction = Transaction(f"2.25.{uuid.uuid4().int}", target, tuple(sorted(instances)), time.time())
        self._write(transaction)
        return transaction

    def tell(self, transaction_uid: str, report: Report) -> bool:
        """Note a report; False where nothing of that name was asked."""
        transaction = self._read(transaction_uid)
        if transaction is None:
            return False
        self._write(replace(transaction, report=report))
        return True

    def find(self, target: str, instances: Sequence[str]) -> Transaction | None:
        """Return the transaction about these instances that was answered, or else the latest."""
        wanted = tuple(sorted(instances))
        found = [one for one in self._all() if (one.target, one.instances) == (target, wanted)]
        return max(found, key=lambda one: (one.report is not None, one.asked_at), default=None)

    def close(self, transaction: Transaction) -> None:
        """Forget a transaction, and the others about the same."""
        for one in self._all():
            if (one.target, one.instances) == (transaction.target, transaction.instances):
                self._path(one.uid).unlink(missing_ok=True)

    def _all(self) -> Iterator[Transaction]:
        for path in self._folder.glob("2.25.*.json"):
            transaction = self._read(path.stem)
            if transaction is not None:
                yield transaction

    def _path(self, uid: str) -> Path:
        return self._folder / f"{uid}.json"

    def _read(self, uid: str) -> Transaction | None:
        if not _NAME.fullmatch(uid):  # it came over the network, and becomes a file's name
            return None
        with contextlib.suppress(FileNotFoundError):
            found = json.loads(self._path(uid).read_text(encoding="utf-8"))
            told = found["report"]
            report = Report(tuple(told["committed"]), told["failed"]) if told else None
            return Transaction(uid, found["target"], tuple(found["instances"]), found["asked_at"], report)
        return None

    def _write(self, transaction: Transaction) -> None:
        """Write it whole or not at all."""
        path = self._path(transaction.uid)
        draft = path.with_suffix(f".{uuid.uuid4().hex}")
        draft.write_text(json.dumps(asdict(transaction)), encoding="utf-8")
        os.replace(draft, path)


def read_report(information: Any) -> tuple[str, Report]:
    """Return the transaction and the content of an N-EVENT-REPORT's information (PS3.4 table J.3-2)."""
    with deviations():
        committed = [str(item.ReferencedSOPInstanceUID) for item in information.get("ReferencedSOPSequence") or []]
        failed = {
            str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason") or 0)
            for item in information.get("FailedSOPSequence") or []
        }
        return str(information.get("TransactionUID") or ""), Report(tuple(committed), failed)
