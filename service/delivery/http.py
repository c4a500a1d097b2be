"""HTTP to a target: who we are, how long we wait, and what a failure means."""

import ssl

import httpx

from entrust.errors import DeliveryFailedError, DeliveryRefusedError
from service.delivery.targets import StowTarget

_LATER = frozenset({408, 421, 423, 425, 429})
"""Client errors that time may cure."""


def open_client(target: StowTarget) -> httpx.AsyncClient:
    """Return a client of a target's DICOMweb.

    Raises:
        InvalidInputError: Credentials or certificates cannot be used.
    """
    return httpx.AsyncClient(
        base_url=f"{target.url.rstrip('/')}/",
        headers=target.authorization(),
        timeout=target.timeout_seconds,
        verify=target.trust.context() if target.url.startswith("https") else True,
        trust_env=False,
    )


async def ask(client: httpx.AsyncClient, request: httpx.Request, target: str, limit_bytes: int) -> httpx.Response:
    """Return an answer, read to its end.

    Args:
        client: From :func:`open_client`.
        request: What to ask.
        target: The target's name.
        limit_bytes: Size above which an answer is no answer.

    Raises:
        DeliveryFailedError: There is none.
    """
    try:
        response = await client.send(request, stream=True)
        try:
            pieces, size = [], 0
            async for piece in response.aiter_bytes():
                pieces.append(piece)
                size += len(piece)
                if size > limit_bytes:
                    raise unreachable(target, "an endless answer")
            told = {"Content-Type": response.headers.get("Content-Type", "")}  # the pieces are unpacked already
            return httpx.Response(response.status_code, headers=told, content=b"".join(pieces))
        finally:
            await response.aclose()
    except (httpx.HTTPError, OSError) as error:
        raise _tls_failure(target, error) or unreachable(target, type(error).__name__) from error


def unreachable(target: str, why: str) -> DeliveryFailedError:
    """Return the error of a target that does not answer.

    Args:
        target: Its name.
        why: Name of the failure.
    """
    return DeliveryFailedError(f"The target {target} does not answer ({why}).", fix="Nothing is lost: try again.")


def _tls_failure(target: str, error: BaseException) -> DeliveryFailedError | None:
    """Return the error of a handshake that failed; None where something else did.

    It may be tried again: certificates run out, and are renewed.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return DeliveryFailedError(
            f"The certificate of the target {target} is not accepted ({cause.verify_message}).",
            fix="Its ca_file names who vouches for it, and its url the host for which the certificate was issued.",
        )
    if cause is not None:
        return DeliveryFailedError(
            f"The target {target} and we do not agree on TLS ({cause.reason or type(cause).__name__}).",
            fix="See its certificate_file and key_file, where it asks for a certificate, and its versions of TLS.",
        )
    return None


def refusal(status: int, target: str) -> DeliveryFailedError:
    """Return the error of a target that answers with a failure for the request as a whole."""
    if status >= 500 or status in _LATER:
        return DeliveryFailedError(
            f"The target {target} cannot serve now (HTTP status {status}).", fix="Nothing is lost: try again."
        )
    fix = {401: "See its credentials_file.", 403: "See its credentials_file."}.get(status, "See its url.")
    return DeliveryRefusedError(f"The target {target} refused (HTTP status {status}).", fix=fix)
