"""DICOM results that are made on request only."""

from enum import StrEnum


class Extra(StrEnum):
    """What a caller may ask for beyond the results that are always made.

    They rest on the same numbers, so asking for one changes no other result and no UID.
    """

    LABELMAP = "labelmap"
    ATTRIBUTION = "attribution"
    STRUCTURES = "rtstruct"
    CAPTURE = "secondary-capture"
