"""The rooms between a decoded study and a case, as the pipeline goes through them; and headers to choose from."""

from collections.abc import Mapping
from typing import Any

from pydicom.uid import CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage

from entrust.contract import ONCOLOGY, Task
from entrust.errors import EnTrustError
from service.prepare import prepare_case
from service.selection import Rules, default_rules, select
from service.study import Case, Cast, SeriesHeader, Study
from tests.factories.dicom_series import plane_grid

_SOP_CLASSES = {"CT": CTImageStorage, "PT": PositronEmissionTomographyImageStorage, "MR": MRImageStorage}
GRID = plane_grid("axial", shape=(12, 3, 4))


def cast(
    study: Study, task: Task = ONCOLOGY, assignment: Mapping[str, str] | None = None, rules: Rules | None = None
) -> Cast:
    """Choose the series of a study."""
    headers = [series.header for series in study.series]
    chosen = select(headers, rules or default_rules(), {task.name: task}, task=task.name, assignment=assignment)
    return chosen.cast(study)


def prepare(study: Study, task: Task = ONCOLOGY, *, assignment: Mapping[str, str] | None = None) -> Case:
    """Choose the series of a study by the shipped rules, and prepare them."""
    return prepare_case(study, task, cast(study, task, assignment))


def header(
    dicom_modality: str,
    number: int | None = 1,
    description: str = "",
    *,
    frame: str = "F",
    images: int = 12,
    plane: str = "axial",
    spacing_mm: float = 4.0,
    refused: EnTrustError | None = None,
    **tags: Any,
) -> SeriesHeader:
    """Return the header of a volume, or of what is none."""
    tags = {
        "SOPClassUID": _SOP_CLASSES.get(dicom_modality),
        "SeriesNumber": number,
        "SeriesDescription": description,
        **tags,
    }
    grid = plane_grid(plane, shape=(images, 3, 4), spacing_mm=(spacing_mm, 2.0, 2.0))
    return SeriesHeader(
        uid=f"uid-{dicom_modality}-{number}-{description}",
        dicom_modality=dicom_modality,
        description=description,
        frame_of_reference_uid=frame,
        attributes={k: v for k, v in tags.items() if v not in (None, "")},
        num_images=images,
        grid=None if refused else grid,
        refused=refused,
    )
