"""One retrieval: find, leave out what is here, bring the rest, say what became of it."""

import itertools
import threading
from collections.abc import Callable, Sequence

from entrust.errors import CancelledError, ConflictError, NotFoundError, TooLargeError
from service.archive import Archive
from service.observability.metrics import Metrics
from service.pull.keeping import Keeper
from service.pull.source import Source
from service.pull.wanted import Found, Report, Wanted

OnProgress = Callable[[int, int], None]
"""Told how many instances are here, and how many are wanted."""


def retrieve(
    source: Source,
    wanted: Wanted,
    archive: Archive,
    metrics: Metrics,
    *,
    max_instances: int = 20_000,
    max_instance_bytes: int = 2**31,
    on_progress: OnProgress = lambda _here, _of: None,
    stop: threading.Event | None = None,
) -> Report:
    """Bring a study into the archive; what it holds already is not asked for again.

    A retrieval that was cut short is therefore resumed by asking for the same again.

    Args:
        source: Where from.
        wanted: What.
        archive: Where to.
        metrics: Hears of each instance.
        max_instances: Largest number of instances.
        max_instance_bytes: Largest instance.
        on_progress: Told of progress, in this thread.
        stop: Ends the retrieval after the present instance when set.

    Raises:
        NotFoundError: The source has nothing of the kind.
        ConflictError: Several studies match.
        TooLargeError: More instances than ``max_instances``.
        SourceUnavailableError: The source is away, refuses us, or breaks its protocol.
        OverloadedError: The archive's disk is full.
        CancelledError: It was stopped.
    """
    stop = stop or threading.Event()
    archive.check_space()
    study_uid = _study(source, wanted)
    found = list(itertools.islice(source.find_instances(study_uid, wanted), max_instances + 1))
    if len(found) > max_instances:
        raise TooLargeError(
            f"The study has more than {max_instances} instances.",
            fix="Name the series that are needed.",
            details={"limit_instances": max_instances},
        )
    if not found:
        raise NotFoundError("The source has no instance of what is wanted.", fix="See the series that were named.")
    present = sum(archive.has(one.sop_uid) for one in found)
    on_progress(present, len(found))
    keeper = Keeper(
        archive,
        metrics,
        found,
        max_instance_bytes=max_instance_bytes,
        on_progress=lambda here: on_progress(here, len(found)),
    )
    for of_series in _by_series(found):
        if stop.is_set():
            raise CancelledError("The retrieval was taken back; what has come is kept.")
        missing = keeper.missing(of_series)
        whole = len(missing) == len(of_series) and not wanted.sop_uids
        source.fetch(missing, keeper, stop, whole=whole)
    if stop.is_set():
        raise CancelledError("The retrieval was taken back; what has come is kept.")
    here = len(found) - len(keeper.missing(found))
    return Report(study_uid, len(found), present, here - present, keeper.failures())


def _study(source: Source, wanted: Wanted) -> str:
    """Return the one study that is meant."""
    studies = source.find_studies(wanted)
    if not studies:
        raise NotFoundError("The source has no such study.", fix="See whether it has arrived there yet.")
    if len(studies) > 1:
        raise ConflictError(
            "Several studies match.", fix="Name a StudyInstanceUID; an accession number may cover several studies."
        )
    return studies[0]


def _by_series(found: Sequence[Found]) -> list[list[Found]]:
    grouped: dict[str, list[Found]] = {}
    for one in found:
        grouped.setdefault(one.series_uid, []).append(one)
    return list(grouped.values())
