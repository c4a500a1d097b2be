"""What a caller may ask over HTTP: the parameters of a segmentation, in the query or in the form."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from service.intake.parameters import ParameterLimits, SegmentationParameters, check_parameters


class RestParameters(SegmentationParameters):
    """Parameters of one segmentation, and of the answer."""

    wait: bool = Field(default=False, description="Answer when the job has ended, with its results.")


FIELDS: frozenset[str] = frozenset(RestParameters.model_fields)


def read_parameters(given: Mapping[str, Any], limits: ParameterLimits) -> RestParameters:
    """Return checked parameters; see :func:`service.intake.parameters.check_parameters`."""
    return check_parameters(RestParameters, given, limits)
