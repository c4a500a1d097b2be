"""Which failures are worth another try: those that time may heal. What a caller or a study got wrong stays wrong."""

from entrust.errors import DeliveryRefusedError, EnTrustError, ErrorKind, InternalError
from service.observability.logs import describe_exception, get_logger

log = get_logger(__name__)
TRANSIENT = frozenset(
    {
        ErrorKind.OVERLOADED,
        ErrorKind.MODEL_UNAVAILABLE,
        ErrorKind.INFERENCE_FAILED,
        ErrorKind.DEADLINE_EXCEEDED,
        ErrorKind.DELIVERY_FAILED,
    }
)
"""Kinds that are tried again. Over HTTP all other kinds but ``internal`` are 4xx; ``internal`` is a defect, which comes
again."""


def is_transient(error: EnTrustError) -> bool:
    """Tell whether trying again later may help."""
    return error.kind in TRANSIENT and not isinstance(error, DeliveryRefusedError)


class Again(Exception):  # noqa: N818  (it asks for something, and tells of no error)
    """Asks the workflow to do the step once more, later."""


def as_error(error: Exception) -> EnTrustError:
    """Return what a record may say of any exception; one that nobody foresaw is logged."""
    if isinstance(error, EnTrustError):
        return error
    log.error("study-broke", **describe_exception(error))
    return InternalError("The gateway failed in a way it should not.", fix="Report the job id, then restart the study.")
