"""What the programs say of the results of one study."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from pydicom import dcmread

from service.encode import Extra
from service.encode.results import to_source_geometry
from service.study import Case
from tests.factories.contours import fill_structures
from tests.factories.dicom_cases import encode_case
from tests.validators.programs import (
    Geometry,
    compare,
    entity_errors,
    object_errors,
    read_mask,
    read_structure,
    report_errors,
)
from tests.validators.studies import PhantomStudy

UNKNOWN_TO_VALIDATORS = ("labelmap.dcm",)
"""Label map segmentations are newer than the validators."""


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        objects: DICOM results.
        dciodvfy: Errors in objects by dciodvfy.
        dcentvfy: Errors between the results and their sources by dcentvfy.
        pixelmed: Errors of the report by DicomSRValidator; none where it was not asked.
        segments: Of each segment as dcmqi reads it from the binary segmentation.
        labels: The same from the label map.
        contours: Of each structure as a reader of these tests fills its contours.
        structures: The same as plastimatch does; none where it was not asked.
    """

    objects: int
    dciodvfy: tuple[str, ...]
    dcentvfy: tuple[str, ...]
    pixelmed: tuple[str, ...]
    segments: tuple[Geometry, ...]
    labels: tuple[Geometry, ...]
    contours: tuple[Geometry, ...]
    structures: tuple[Geometry, ...]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        faultless = not (self.dciodvfy or self.dcentvfy or self.pixelmed)
        return faultless and all(g.dice == 1.0 and g.distance_mm < 1e-3 for g in self.geometries)

    @property
    def geometries(self) -> tuple[Geometry, ...]:
        """Every mask that was read."""
        return (*self.segments, *self.labels, *self.contours, *self.structures)


def judge(study: PhantomStudy, folder: Path, *, thorough: bool = True) -> Verdict:
    """Make every result of a study and show it to the programs.

    Args:
        study: The study.
        folder: An empty one, for study and results.
        thorough: Whether to ask DicomSRValidator and plastimatch as well, which are slow or large.

    Raises:
        NotInstalledError: A program is not there.
    """
    sources, results = folder / "study", folder / "results"
    case = study.write(sources)
    trust_map = study.answered(case)
    contents = encode_case(case, trust_map, extras=tuple(Extra))
    results.mkdir()
    paths = {name: results / name for name in contents}
    for name, path in paths.items():
        path.write_bytes(contents[name])
    images = sorted(sources.rglob("*.dcm"))
    grid, label_map = case.reference.volume.grid, to_source_geometry(case, trust_map).label_map

    def geometry(masks: Sequence[Bool[np.ndarray, "d h w"]]) -> tuple[Geometry, ...]:
        return tuple(
            compare(mask, label_map == label.value, grid) for mask, label in zip(masks, study.task.labels, strict=True)
        )

    def read(name: str) -> list[Bool[np.ndarray, "d h w"]]:
        folders = folder / name.removesuffix(".dcm")
        return [read_mask(paths[name], label.value, grid, folders) for label in study.task.labels]

    def filled() -> list[Bool[np.ndarray, "d h w"]]:
        reference = next(slug for slug, series in case.used.items() if series is case.reference)
        return [
            read_structure(paths["rtstruct.dcm"], label.title, sources / reference, grid, folder / "plastimatch")
            for label in study.task.labels
        ]

    return Verdict(
        objects=len(contents),
        dciodvfy=tuple(
            f"{name}: {error}"
            for name, path in paths.items()
            if name not in UNKNOWN_TO_VALIDATORS
            for error in object_errors(path)
        ),
        dcentvfy=tuple(entity_errors([*images, *paths.values()])),
        pixelmed=tuple(report_errors(paths["report.dcm"])) if thorough else (),
        segments=geometry(read("segmentation.dcm")),
        labels=geometry(read("labelmap.dcm")),
        contours=geometry([_drawn(contents["rtstruct.dcm"], label.value, case) for label in study.task.labels]),
        structures=geometry(filled()) if thorough else (),
    )


def _drawn(content: bytes, number: int, case: Case) -> Bool[np.ndarray, "d h w"]:
    """Return a structure whose contours are filled, on the reference series' grid."""
    datasets = case.reference.datasets
    planes = fill_structures(dcmread(BytesIO(content)), datasets)[number]
    mask = np.zeros(case.reference.volume.grid.shape, dtype=bool)
    for depth, ds in enumerate(datasets):
        if ds.SOPInstanceUID in planes:
            mask[depth] = planes[ds.SOPInstanceUID]
    return mask
