"""What a caller may ask over gRPC: the parameters of a segmentation, from their message."""

from collections.abc import Mapping
from typing import Any

from entrust.errors import InvalidInputError
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.encode import Extra
from service.intake.parameters import ParameterLimits, SegmentationParameters, check_parameters
from service.jobs.job import Priority

PRIORITIES: Mapping[int, Priority] = {
    pb.PRIORITY_UNSPECIFIED: Priority.ROUTINE,
    pb.PRIORITY_ROUTINE: Priority.ROUTINE,
    pb.PRIORITY_STAT: Priority.STAT,
}
EXTRAS: Mapping[int, Extra] = {
    pb.EXTRA_RESULT_LABELMAP: Extra.LABELMAP,
    pb.EXTRA_RESULT_ATTRIBUTION: Extra.ATTRIBUTION,
    pb.EXTRA_RESULT_RTSTRUCT: Extra.STRUCTURES,
    pb.EXTRA_RESULT_SECONDARY_CAPTURE: Extra.CAPTURE,
}


def read_parameters(message: pb.SegmentationParameters, limits: ParameterLimits) -> SegmentationParameters:
    """Return checked parameters; see :func:`service.intake.parameters.check_parameters`.

    Raises:
        InvalidInputError: A parameter is missing or out of bounds.
        NotFoundError: There is no such task.
    """
    if message.priority not in PRIORITIES:  # enums of proto3 are open
        raise InvalidInputError("priority: unknown value.", fix="Use PRIORITY_ROUTINE or PRIORITY_STAT.")
    if not set(message.extra_results) <= set(EXTRAS):
        raise InvalidInputError("extra_results: unknown value.", fix="Use the values of ExtraResult but the first.")
    given: dict[str, Any] = {
        "task": message.task,
        "seed": message.seed,
        "assignment": dict(message.assignment),
        "priority": PRIORITIES[message.priority],
        "extra_results": [EXTRAS[number] for number in message.extra_results],
    }
    for name in ("num_hypotheses", "num_steps"):
        if message.HasField(name):
            given[name] = getattr(message, name)
    if message.sampler:
        given["sampler"] = message.sampler
    if message.HasField("deadline"):
        given["deadline_seconds"] = message.deadline.seconds + message.deadline.nanos / 1e9
    return check_parameters(SegmentationParameters, given, limits)
