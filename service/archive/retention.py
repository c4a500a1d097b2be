"""What goes when, and what an archive holds: functions for a job to call."""

import math
import time
from collections.abc import Collection

from service import audit
from service.archive.archive import Archive


def delete_study(
    archive: Archive, study_uid: str, *, but: Collection[str] = (), received_until: float = math.inf
) -> int:
    """Remove a study, its rows first: nobody is led to a file that is gone.

    Args:
        archive: The archive.
        study_uid: The study.
        but: SOPInstanceUIDs of what stays, such as results.
        received_until: Instances that came later stay: somebody may have been told just now that they are kept.

    Returns:
        How many instances went.
    """
    archive.flush()
    found = archive.index.names_until(study_uid, received_until)
    names = [name for name, sop_uid in found if sop_uid not in but]
    archive.index.forget(names)
    for name in names:
        archive.files.delete(name)
    if names:
        audit.record(audit.Event(audit.What.DELETED, study_uid=study_uid, door="gateway"))
    return len(names)


def apply_retention(archive: Archive, *, max_age_seconds: float, max_bytes: int, now: float | None = None) -> int:
    """Remove the studies that nothing was added to for longest.

    Args:
        archive: The archive.
        max_age_seconds: Studies without a new instance for longer go.
        max_bytes: Then the oldest go, until the rest is not larger than this.
        now: Seconds since 1970; the clock's when not given.

    Returns:
        How many studies went.
    """
    archive.flush()
    found = archive.index.oldest_studies()
    left_bytes = sum(size for _, _, size in found)
    horizon = (time.time() if now is None else now) - max_age_seconds
    removed = 0
    for study_uid, last_received, size_bytes in found:
        if last_received >= horizon and left_bytes <= max_bytes:
            break
        delete_study(archive, study_uid)
        left_bytes -= size_bytes
        removed += 1
    return removed
