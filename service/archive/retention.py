"""What goes when, and what an archive holds: functions for a job to call."""

import time

from service import audit
from service.archive.archive import Archive


def delete_study(archive: Archive, study_uid: str) -> int:
    """Remove a study, its rows first: nobody is led to a file that is gone.

    Returns:
        How many instances went.
    """
    names = [located.name for located in archive.locate(study_uid)]
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
