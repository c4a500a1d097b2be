import pytest
from tritonclient.utils import InferenceServerException

from entrust.errors import ErrorKind
from service.inference.failures import is_region_unknown, is_transient, translate

SEEN = [
    ("UNAVAILABLE", "failed to connect to all addresses; last error: UNKNOWN: …", True, ErrorKind.MODEL_UNAVAILABLE),
    ("UNAVAILABLE", "Stream removed (Socket closed)", True, ErrorKind.MODEL_UNAVAILABLE),
    ("INTERNAL", "Stub process 'm_0_1' is not healthy.", True, ErrorKind.MODEL_UNAVAILABLE),
    ("NOT_FOUND", "Request for unknown model: 'm' has no available versions", True, ErrorKind.MODEL_UNAVAILABLE),
    ("UNAVAILABLE", "Exceeds maximum queue size", False, ErrorKind.OVERLOADED),
    ("DEADLINE_EXCEEDED", "Deadline Exceeded", False, ErrorKind.DEADLINE_EXCEEDED),
    ("INVALID_ARGUMENT", "[request id: <id_unknown>] unexpected shape", False, ErrorKind.INFERENCE_FAILED),
    ("INTERNAL", "RuntimeException: non-zero status code", False, ErrorKind.INFERENCE_FAILED),
    ("RESOURCE_EXHAUSTED", "Received message larger than max", False, ErrorKind.INFERENCE_FAILED),
]


@pytest.mark.parametrize(("status", "words", "transient", "kind"), SEEN)
def test_each_failure_seen_on_a_real_server_has_its_kind(
    status: str, words: str, transient: bool, kind: ErrorKind
) -> None:
    error = InferenceServerException(words, status=f"StatusCode.{status}")
    assert is_transient(error) == transient
    assert translate(error, "m").kind == kind


def test_a_forgotten_region_is_recognised() -> None:
    error = InferenceServerException("Unable to find shared memory region: 'x'", status="StatusCode.INVALID_ARGUMENT")
    assert is_region_unknown(error)
    assert not is_transient(error)


def test_an_error_without_a_status_is_a_failure() -> None:
    assert translate(InferenceServerException("odd"), "m").kind == ErrorKind.INFERENCE_FAILED
