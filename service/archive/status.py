"""What DICOM calls a failure to store: one code, for a C-STORE's status and for a store response's failure reason.

Sources: PS3.4 table B.2-1 (C-STORE), PS3.7 C.5 (general codes), PS3.18 table I.2-2 (failure reasons).
"""

from collections.abc import Mapping

from entrust.errors import ErrorKind

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
NOT_AUTHORIZED = 0x0124
OUT_OF_RESOURCES = 0xA700
NOT_AS_ANNOUNCED = 0xA900
CANNOT_UNDERSTAND = 0xC000

STATUSES: Mapping[ErrorKind, int] = {
    ErrorKind.INVALID_INPUT: CANNOT_UNDERSTAND,
    ErrorKind.UNSUPPORTED_MEDIA: CANNOT_UNDERSTAND,
    ErrorKind.MISSING_MODALITY: CANNOT_UNDERSTAND,
    ErrorKind.GEOMETRY_CONFLICT: CANNOT_UNDERSTAND,
    ErrorKind.NOT_FOUND: PROCESSING_FAILURE,
    ErrorKind.CONFLICT: DUPLICATE_INSTANCE,
    ErrorKind.TOO_LARGE: OUT_OF_RESOURCES,
    ErrorKind.OVERLOADED: OUT_OF_RESOURCES,
    ErrorKind.UNAUTHENTICATED: NOT_AUTHORIZED,
    ErrorKind.FORBIDDEN: NOT_AUTHORIZED,
    ErrorKind.MODEL_UNAVAILABLE: PROCESSING_FAILURE,
    ErrorKind.INFERENCE_FAILED: PROCESSING_FAILURE,
    ErrorKind.DEADLINE_EXCEEDED: PROCESSING_FAILURE,
    ErrorKind.CANCELLED: PROCESSING_FAILURE,
    ErrorKind.DELIVERY_FAILED: PROCESSING_FAILURE,
    ErrorKind.SOURCE_UNAVAILABLE: PROCESSING_FAILURE,
    ErrorKind.INTERNAL: PROCESSING_FAILURE,
}
"""Of the archive's own errors only invalid input, conflict, too large, overloaded and internal occur; the rest is here
so that no error is without a code."""
