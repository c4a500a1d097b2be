"""DICOM results that are made on request only."""

from enum import StrEnum

from entrust.contract import Task
from entrust.errors import InvalidInputError


class Extra(StrEnum):
    """What a caller may ask for beyond the results that are always made.

    They rest on the same numbers, so asking for one changes no other result and no UID.
    """

    LABELMAP = "labelmap"
    ATTRIBUTION = "attribution"
    STRUCTURES = "rtstruct"
    CAPTURE = "secondary-capture"


def check_label_map(task: Task) -> None:
    """Refuse a label map whose segments would have to overlap (PS3.3 C.8.20.2: a LABELMAP's cannot).

    Raises:
        InvalidInputError: The task's structures are nested.
    """
    if task.nested:
        raise InvalidInputError(
            f"Structures of the task {task.name!r} lie within each other; the segments of a label map cannot.",
            fix=f"Leave out {Extra.LABELMAP}; segmentation.dcm holds every structure whole.",
        )
