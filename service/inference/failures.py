"""What Triton's errors mean here: which pass by themselves, and which kind the others are.

Triton's status codes alone do not tell (a dead stub and a wrong tensor are both INTERNAL), so its words are read too;
each of them was seen on 2.51 and is provoked by an integration test.
"""

from tritonclient.utils import InferenceServerException

from entrust.errors import (
    DeadlineExceededError,
    EnTrustError,
    InferenceFailedError,
    ModelUnavailableError,
    OverloadedError,
)

TRANSIENT_WORDS = (
    "stub process",  # a model's process died; the supervisor loads the model again
    "unknown model",  # between unload and load
    "is not ready",
    "is not found",
    "has no available versions",
    "failed to stop",
    "shutting down",
)


def _status(error: InferenceServerException) -> str:
    return str(error.status() or "").removeprefix("StatusCode.")


def _words(error: InferenceServerException) -> str:
    return str(error.message() or "").lower()


def is_queue_full(error: InferenceServerException) -> bool:
    """Return whether the model's queue had no room."""
    return "maximum queue size" in _words(error) or "max_queue_size" in _words(error)


def is_region_unknown(error: InferenceServerException) -> bool:
    """Return whether Triton has forgotten a piece of shared memory, as it does when it is restarted."""
    return "shared memory region" in _words(error)


def is_transient(error: InferenceServerException) -> bool:
    """Return whether the same call may work soon: the server or one of its models is coming back."""
    if is_queue_full(error):
        return False
    return _status(error) == "UNAVAILABLE" or any(word in _words(error) for word in TRANSIENT_WORDS)


def translate(error: InferenceServerException, model: str) -> EnTrustError:
    """Return what the caller is told."""
    status = _status(error)
    if is_queue_full(error) or (status == "UNAVAILABLE" and "timeout expired" in _words(error)):
        return OverloadedError(f"The queue of model {model} is full.", retry_after_seconds=5.0)
    if status == "DEADLINE_EXCEEDED":
        return DeadlineExceededError(f"Model {model} did not answer in time.")
    if is_transient(error):
        return ModelUnavailableError(f"Triton, or its model {model}, is not there.", fix="Try again in a few seconds.")
    return InferenceFailedError(f"Model {model} failed ({status or 'no status'}): {error.message()}")
