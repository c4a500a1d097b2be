"""The images that a workitem is about, fetched from a PACS that this gateway knows, and from no other."""

from collections.abc import Mapping

from entrust.errors import DeliveryFailedError, EnTrustError, NotFoundError
from service.jobs.job import Failure
from service.pull import Retrievals, Wanted
from service.worklist.workitem import Input


class Inputs:
    """Fetches inputs into the archive.

    Args:
        retrievals: Fetches from a source.
        urls: Root of each DICOMweb source by its name: credentials are sent to these alone.
        ae_titles: AE title of each DIMSE source by its name.
        default: Source of inputs of which a workitem does not say where they are; empty where there is none.
    """

    def __init__(
        self,
        retrievals: Retrievals,
        *,
        urls: Mapping[str, str] | None = None,
        ae_titles: Mapping[str, str] | None = None,
        default: str = "",
    ) -> None:
        self._retrievals = retrievals
        self._urls = dict(urls or {})
        self._ae_titles = dict(ae_titles or {})
        self._default = default

    def knows(self, wanted: Input) -> bool:
        """Tell whether there is a source that has it."""
        return bool(self._source(wanted))

    async def fetch(self, wanted: Input) -> None:
        """Have the archive hold an input.

        Raises:
            NotFoundError: No source is known, or the source does not have it.
            DeliveryFailedError: Some instances did not come.
            EnTrustError: As :func:`service.pull.retrieve`.
        """
        source = self._source(wanted)
        if not source:
            raise NotFoundError("A workitem's input is nowhere where this gateway may fetch it.")
        series = (wanted.series_uid,) if wanted.series_uid else ()
        asked = Wanted(study_uid=wanted.study_uid, series_uids=series, sop_uids=wanted.sop_uids)
        retrieval = await self._retrievals.submit(source, asked)
        ended = await self._retrievals.finished(retrieval.id)
        if ended.failure is not None:
            raise _error(ended.failure)
        if ended.report is not None and not ended.report.complete:
            raise DeliveryFailedError("Instances of a workitem's input did not come.", fix="See the source's own log.")

    def _source(self, wanted: Input) -> str:
        """Return the name of the source that a workitem means; empty where it is not known."""
        if wanted.retrieve_url:
            return next((n for n, root in self._urls.items() if wanted.retrieve_url.startswith(f"{root}/studies/")), "")
        if wanted.ae_title:
            return next((n for n, title in self._ae_titles.items() if title == wanted.ae_title), "")
        return self._default


def _error(failure: Failure) -> EnTrustError:
    """Return a failure as the error that it was."""
    of_kind = next(one for one in EnTrustError.__subclasses__() if one.kind is failure.kind)
    return of_kind(failure.message, fix=failure.fix)
