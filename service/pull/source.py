"""What a PACS has to do for a retrieval, whatever it speaks."""

import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

from service.pull.keeping import Keeper
from service.pull.wanted import Found, Wanted


class Source(Protocol):
    """A PACS. Its methods block, and are called in threads.

    Each raises :class:`entrust.errors.SourceUnavailableError` where the PACS is away, refuses this gateway, or breaks
    its protocol.
    """

    def find_studies(self, wanted: Wanted) -> Sequence[str]:
        """Return the StudyInstanceUIDs that match; of many, two or more."""
        ...

    def find_instances(self, study_uid: str, wanted: Wanted) -> Iterator[Found]:
        """Yield what it has of the wanted series of a study, each instance once, series by series."""
        ...

    def fetch(self, series: Sequence[Found], keeper: Keeper, stop: threading.Event, *, whole: bool) -> None:
        """Bring instances of one series.

        Args:
            series: What is to come.
            keeper: Takes what comes, and the reasons of what does not.
            stop: Looked at between instances.
            whole: Whether that is all the source has of the series.
        """
        ...

    def close(self) -> None:
        """Let connections go."""
        ...
