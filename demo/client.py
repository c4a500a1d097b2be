"""What any client of the gateway does: send a study, follow the job, fetch the results."""

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from entrust.errors import EnTrustError, InternalError, InvalidInputError, ModelUnavailableError

RECONNECT_SECONDS = 0.5
_ERRORS = {str(error.kind): error for error in EnTrustError.__subclasses__()}


@dataclass(frozen=True)
class Progress:
    """How far the job is, as the gateway tells it."""

    state: str
    stage: str
    step: int
    of: int


class Client:
    """A client of one gateway.

    Args:
        url: Base URL.
    """

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=httpx.Timeout(30.0, read=300.0, write=300.0))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def submit(self, study: Path, modalities: Iterable[str], parameters: Mapping[str, str | int]) -> str:
        """Send a study and return the job's address.

        Args:
            study: A zip of DICOM files, or a folder with one NIfTI per modality (``ct.nii.gz`` …).
            modalities: The slugs to look for in such a folder.
            parameters: Query of the request: task, seed and the like.

        Raises:
            EnTrustError: What the gateway answered, or that it could not be reached.
        """
        with ExitStack() as opened:
            if study.is_file():
                response = self._request(
                    "POST",
                    "/v1/segmentations",
                    params=parameters,
                    content=opened.enter_context(study.open("rb")),
                    headers={"Content-Type": "application/zip"},
                )
            else:
                paths = [
                    p for slug in modalities for p in (study / f"{slug}.nii.gz", study / f"{slug}.nii") if p.is_file()
                ]
                if not paths:
                    raise InvalidInputError("The folder holds no NIfTI named after a modality.")
                files = [
                    (p.name.split(".")[0], (p.name, opened.enter_context(p.open("rb")), "application/octet-stream"))
                    for p in paths
                ]
                response = self._request("POST", "/v1/segmentations", params=parameters, files=files)
        return str(response.json()["links"]["self"])

    def follow(self, job: str, on_progress: Callable[[Progress], None]) -> None:
        """Wait for the end of a job.

        Args:
            job: Address from :meth:`submit`.
            on_progress: Called with every state that was seen.

        Raises:
            EnTrustError: The job failed or was cancelled.
        """
        version = 0
        while True:
            try:
                for body in self._events(job, version):
                    version = body["version"]
                    progress = body["progress"] or {"stage": body["state"], "step": 0, "of": 1}
                    on_progress(Progress(body["state"], progress["stage"], progress["step"], progress["of"]))
                    if body["state"] in ("failed", "cancelled"):
                        raise _error_of(body["problem"] or {})
                    if body["state"] == "succeeded":
                        return
            except httpx.TransportError:
                self._request("GET", job)  # still there? then the stream only broke: go on after the last event
            time.sleep(RECONNECT_SECONDS)

    def _events(self, job: str, after_version: int) -> Iterator[dict[str, Any]]:
        """Yield the job as it changes (server-sent events)."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after_version)}
        with self._http.stream("GET", f"{job}/events", headers=headers) as response:
            if response.is_error:
                response.read()
                raise _refusal(response)
            for line in response.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    def fetch(self, job: str, folder: Path) -> tuple[str, ...]:
        """Unpack a job's results into ``folder`` and return the files' names."""
        response = self._request("GET", f"{job}/results", headers={"Accept": "application/zip"})
        with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
            names = tuple(name for name in archive.namelist() if Path(name).name == name)
            archive.extractall(folder, members=names)
        return names

    def cancel(self, job: str) -> None:
        """Take a job back; that it has ended meanwhile is no error."""
        try:
            self._http.delete(job)
        except httpx.HTTPError:
            return

    def metrics(self) -> str:
        """Return the Prometheus exposition."""
        return self._request("GET", "/metrics").text

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ModelUnavailableError(
                f"The gateway cannot be reached ({type(error).__name__}).", fix="See its log."
            ) from error
        if response.is_error:
            raise _refusal(response)
        return response


def _refusal(response: httpx.Response) -> EnTrustError:
    """Return the error that a refusal speaks of."""
    try:
        return _error_of(response.json())
    except ValueError:
        return InternalError(f"The gateway answered {response.status_code} without a problem body.")


def _error_of(problem: Mapping[str, Any]) -> EnTrustError:
    """Return the error that a problem body speaks of."""
    error = _ERRORS.get(str(problem.get("type", "")).rsplit("/", 1)[-1], InternalError)
    return error(
        str(problem.get("detail") or problem.get("title") or "No reason was given."), fix=str(problem.get("fix", ""))
    )
