"""Results beside the studies that they belong to, so that a viewer opens both from one place."""

import time
from collections.abc import Iterable

from entrust.errors import EnTrustError
from service.archive import Archive
from service.observability.logs import get_logger
from service.observability.metrics import Metrics

log = get_logger(__name__)
DOOR = "gateway"


def keep_results(archive: Archive, metrics: Metrics, contents: Iterable[bytes]) -> None:
    """Keep the DICOM objects of a job in the archive, where it holds their study.

    The results of a study that came with a request alone live as long as its job, and no longer. Where a result is not
    kept the job does not fail: its caller gets it all the same.

    Args:
        archive: The archive.
        metrics: Hears of it.
        contents: DICOM files.
    """
    for content in contents:
        started, outcome = time.perf_counter(), "refused"
        try:
            with archive.incoming() as file:
                file.write(content)
                entry = archive.read(file)
                if not archive.holds(entry.study_uid):
                    continue
                outcome = "duplicate" if archive.keep(file, entry).duplicate else "stored"
        except EnTrustError as error:
            log.warning("result-not-kept", kind=error.kind, cause=error.message)
        seconds = time.perf_counter() - started
        metrics.instance_received(door=DOOR, outcome=outcome, size_bytes=len(content), duration_seconds=seconds)
