"""Every further result can be asked for over gRPC, and is told by the same word."""

import pytest

from entrust.errors import InvalidInputError
from service.api.rpc import parameters, resources
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.encode import Extra
from service.intake.parameters import ParameterLimits

LIMITS = ParameterLimits(max_hypotheses=16, max_steps=32, max_duration_seconds=60.0)


def test_every_extra_has_a_value_and_every_value_an_extra() -> None:
    assert set(parameters.EXTRAS) == set(pb.ExtraResult.values()) - {pb.EXTRA_RESULT_UNSPECIFIED}
    assert {extra: number for number, extra in parameters.EXTRAS.items()} == resources.EXTRAS
    assert set(resources.EXTRAS) == set(Extra)


def test_extras_are_read() -> None:
    message = pb.SegmentationParameters(
        task="oncology", extra_results=[pb.EXTRA_RESULT_RTSTRUCT, pb.EXTRA_RESULT_LABELMAP]
    )
    assert parameters.read_parameters(message, LIMITS).extra_results == (Extra.LABELMAP, Extra.STRUCTURES)


@pytest.mark.parametrize("number", [pb.EXTRA_RESULT_UNSPECIFIED, 99])
def test_unknown_values_are_refused(number: int) -> None:
    with pytest.raises(InvalidInputError):
        parameters.read_parameters(pb.SegmentationParameters(task="oncology", extra_results=[number]), LIMITS)
