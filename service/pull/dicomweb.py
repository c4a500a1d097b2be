"""A PACS that speaks DICOMweb: QIDO-RS finds, WADO-RS brings (PS3.18 10.4, 10.6)."""

import json
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence

import httpx

from entrust.errors import SourceUnavailableError, TooLargeError
from service.dicom_json import Json, text
from service.pull.keeping import Keeper
from service.pull.multipart import DICOM, keep_parts
from service.pull.wanted import Found, Reason, Wanted, is_uid

ACCEPT = f'multipart/related; type="{DICOM}"; transfer-syntax=*'
"""As it is stored: nothing is decoded on the way in."""
PAGE = 500
_ATTEMPTS = 3
_STUDY, _SERIES, _INSTANCE, _CLASS = "0020000D", "0020000E", "00080018", "00080016"


class DicomwebSource:
    """A DICOMweb server.

    Args:
        url: Root under which ``/studies`` lies.
        headers: Sent with every request: credentials.
        tls: How its certificate is checked, and ours shown; the public authorities when not given.
        timeout_seconds: Longest silence.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_seconds: float = 60.0,
    ) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(
            headers=dict(headers or {}),
            timeout=timeout_seconds,
            trust_env=False,
            transport=httpx.HTTPTransport(verify=tls or True, retries=2, trust_env=False),
        )

    def find_studies(self, wanted: Wanted) -> Sequence[str]:
        """Return the StudyInstanceUIDs that match; of many, two."""
        asked = {"StudyInstanceUID": wanted.study_uid, "AccessionNumber": wanted.accession_number}
        query = {name: value for name, value in asked.items() if value} | {"limit": "2"}
        found = (text(one, _STUDY) for one in self._search("/studies", query))
        return list(dict.fromkeys(uid for uid in found if is_uid(uid)))

    def find_instances(self, study_uid: str, wanted: Wanted) -> Iterator[Found]:
        """Yield the instances of the wanted series of a study."""
        for series_uid in self._series(study_uid, wanted):
            path = f"/studies/{study_uid}/series/{series_uid}/instances"
            for one in self._pages(path, {"includefield": _CLASS}, _INSTANCE):
                if not wanted.sop_uids or text(one, _INSTANCE) in wanted.sop_uids:
                    yield Found(study_uid, series_uid, text(one, _INSTANCE), text(one, _CLASS))

    def fetch(self, series: Sequence[Found], keeper: Keeper, stop: threading.Event, *, whole: bool) -> None:
        """Bring a whole series in one answer, and one by one whatever that left out."""
        if not series:
            return
        address = f"/studies/{series[0].study_uid}/series/{series[0].series_uid}"
        if whole and len(series) > 1:
            self._bring(address, keeper, stop)
        for one in keeper.missing(series):
            for _ in range(_ATTEMPTS):
                if stop.is_set():
                    return
                reason = self._bring(f"{address}/instances/{one.sop_uid}", keeper, stop)
                if reason is None:
                    break
                keeper.fail(one.sop_uid, reason)
                if reason is not Reason.SOURCE_FAILED:
                    break

    def close(self) -> None:
        """Let connections go."""
        self._client.close()

    def _series(self, study_uid: str, wanted: Wanted) -> Iterator[str]:
        for one in self._pages(f"/studies/{study_uid}/series", {}, _SERIES):
            uid, modality = text(one, _SERIES), text(one, "00080060")
            named = not wanted.series_uids or uid in wanted.series_uids
            if named and (not wanted.modalities or modality in wanted.modalities):
                yield uid

    def _bring(self, path: str, keeper: Keeper, stop: threading.Event) -> Reason | None:
        """Bring what one address leads to; return why nothing came, or None."""
        try:
            with self._client.stream("GET", self.url + path, headers={"Accept": ACCEPT}) as answer:
                if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
                    return Reason.NOT_THERE
                if answer.status_code == httpx.codes.NOT_ACCEPTABLE:
                    return Reason.SOP_CLASS_REFUSED
                self._check_access(answer)
                if not answer.is_success:
                    return Reason.SOURCE_FAILED
                pieces = _until(stop, answer.iter_bytes())
                keep_parts(answer.headers.get("content-type", ""), pieces, keeper)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _away(error) from error
        except TooLargeError:
            return Reason.TOO_LARGE
        except (httpx.TransportError, SourceUnavailableError) as error:
            if isinstance(error, SourceUnavailableError) and "status" in error.details:
                raise
            return Reason.SOURCE_FAILED
        return None

    def _pages(self, path: str, query: Mapping[str, str], key: str) -> Iterator[Json]:
        """Yield the results of a search page by page, each once: some servers know no offset, and repeat themselves."""
        seen: set[str] = set()
        while True:
            page = self._search(path, {**query, "limit": str(PAGE), "offset": str(len(seen))})
            new = [one for one in page if is_uid(text(one, key)) and text(one, key) not in seen]
            seen.update(text(one, key) for one in new)
            yield from new
            if not new:
                return

    def _search(self, path: str, query: Mapping[str, str]) -> list[Json]:
        """Search once; a server that has nothing answers 200, 204 or 404."""
        try:
            answer = self._client.get(self.url + path, params=query, headers={"Accept": "application/dicom+json"})
        except httpx.TransportError as error:
            raise _away(error) from error
        self._check_access(answer)
        if answer.status_code in (httpx.codes.NO_CONTENT, httpx.codes.NOT_FOUND):
            return []
        if not answer.is_success:
            raise SourceUnavailableError(
                "The source fails to search.",
                fix="See the source's own log.",
                details={"status": answer.status_code},
            )
        try:
            found = answer.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            found = None
        if not isinstance(found, list):
            raise SourceUnavailableError("The source answers a search with something that is no DICOM JSON.")
        return [one for one in found if isinstance(one, dict)]

    def _check_access(self, answer: httpx.Response) -> None:
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise SourceUnavailableError(
                "The source refuses this gateway's credentials.",
                fix="See the source's headers_file.",
                details={"status": answer.status_code},
            )


def _until(stop: threading.Event, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces until the retrieval is stopped."""
    for piece in pieces:
        if stop.is_set():
            raise SourceUnavailableError("The retrieval was stopped.")
        yield piece


def _away(error: Exception) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"The source cannot be reached ({type(error).__name__}).",
        fix="See that it runs, and that its address and certificates are right; what has come is kept.",
    )
