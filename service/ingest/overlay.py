"""Attributes of patient and request that were given beside the images, and go before those in them."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from pydicom.dataset import Dataset

from entrust.errors import InvalidInputError
from service.dicom_json import Json
from service.ingest.headers import PARSE_FAILURES, deviations
from service.study import Planes, Series, Study

UNICODE = "ISO_IR 192"
OfSlices = TypeVar("OfSlices", Planes, Series)


def overlay(study: Study, attributes: Json) -> Study:
    """Return a study whose images say what was given; an empty attribute is given, too, one that is not there is not.

    Args:
        study: What was decoded.
        attributes: DICOM JSON.

    Raises:
        InvalidInputError: The attributes cannot be read.
    """
    return replace(study, series=overlay_each(study.series, attributes))


def overlay_each(series: Sequence[OfSlices], attributes: Json) -> tuple[OfSlices, ...]:
    """Do as :func:`overlay` for the series, or the planes, of a study.

    Raises:
        InvalidInputError: The attributes cannot be read.
    """
    try:
        with deviations():
            given = Dataset.from_json(attributes)
            given.decode()
            for element in given:
                _ = element.value
            return tuple(_overlaid(one, given) for one in series)
    except PARSE_FAILURES as error:
        raise InvalidInputError(
            "Attributes that were given for the results cannot be read.", fix="Send DICOM JSON as PS3.18 F says."
        ) from error


def _overlaid(series: OfSlices, given: Dataset) -> OfSlices:
    """Return a series with another first header: the one from which results take what they say of the patient."""
    if not series.datasets:
        return series
    first = copy.deepcopy(series.datasets[0])
    first.decode()  # its text is read by its own character set, before that changes
    first.SpecificCharacterSet = UNICODE
    for element in given:
        first[element.tag] = copy.deepcopy(element)
    return replace(series, datasets=(first, *series.datasets[1:]))
