"""What a caller may ask over gRPC: the parameters of a segmentation, from their message."""

from collections.abc import Mapping
from typing import Any

from entrust.errors import InvalidInputError
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.intake.parameters import ParameterLimits, SegmentationParameters, check_parameters
from service.jobs.job import Priority

PRIORITIES: Mapping[int, Priority] = {
    pb.PRIORITY_UNSPECIFIED: Priority.ROUTINE,
    pb.PRIORITY_ROUTINE: Priority.ROUTINE,
    pb.PRIORITY_STAT: Priority.STAT,
}


def read_parameters(message: pb.SegmentationParameters, limits: ParameterLimits) -> SegmentationParameters:
    """Return checked parameters; see :func:`service.intake.parameters.check_parameters`.

    Raises:
        InvalidInputError: A parameter is missing or out of bounds.
        NotFoundError: There is no such task.
    """
    if message.priority not in PRIORITIES:  # enums of proto3 are open
        raise InvalidInputError("priority: unknown value.", fix="Use PRIORITY_ROUTINE or PRIORITY_STAT.")
    given: dict[str, Any] = {
        "task": message.task,
        "seed": message.seed,
        "assignment": dict(message.assignment),
        "priority": PRIORITIES[message.priority],
    }
    for name in ("num_hypotheses", "num_steps"):
        if message.HasField(name):
            given[name] = getattr(message, name)
    if message.sampler:
        given["sampler"] = message.sampler
    if message.HasField("deadline"):
        given["deadline_seconds"] = message.deadline.seconds + message.deadline.nanos / 1e9
    return check_parameters(SegmentationParameters, given, limits)
