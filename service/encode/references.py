"""Which source images a result comes from: for the whole object and for each of its frames."""

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from entrust.volume import Grid
from service.encode.sources import Plane, Source

SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")

PARALLEL = 0.985
"""|cosine| between slice normals from which a series has images *of a plane* of the results (10°); a series that is
cut across, as a sagittal one by axial planes, is cited for the whole object."""


def cite(ds: Dataset, sources: Sequence[Source], derivation: Code) -> None:
    """Write the references of a result, in place of those that highdicom derived from its shells.

    Args:
        ds: The result; its frames lie on planes of the reference.
        sources: Series used, the reference first.
        derivation: How the frames come from the source images (CID 7203).
    """
    study_uid = sources[0].study_uid
    within = [source for source in sources if source.study_uid == study_uid]
    ds.SourceImageSequence = [instance_item(name, kind) for s in sources for name, kind in s.instances.items()]
    ds.ReferencedSeriesSequence = [_series(source) for source in within]
    elsewhere: dict[str, list[Dataset]] = {}
    for source in sources:
        if source.study_uid != study_uid:
            elsewhere.setdefault(source.study_uid, []).append(_series(source))
    if elsewhere:
        ds.StudiesContainingOtherReferencedInstancesSequence = [
            _study(uid, series) for uid, series in elsewhere.items()
        ]
    derivations = [_derivation(sources, depth, derivation) for depth in range(sources[0].grid.shape[0])]
    for group, depth in zip(ds.PerFrameFunctionalGroupsSequence, frame_depths(ds, sources[0].grid), strict=True):
        group.DerivationImageSequence = [derivations[depth]]


def frame_depths(ds: Dataset, reference: Grid) -> list[int]:
    """Return the depth index on the reference grid of every frame of a result."""
    positions_mm = np.asarray(
        [group.PlanePositionSequence[0].ImagePositionPatient for group in ds.PerFrameFunctionalGroupsSequence],
        dtype=float,
    )
    return [int(depth) for depth in np.rint(reference.to_index(positions_mm)[:, 0])]


def planes_at(source: Source, reference: Grid, depth: int) -> list[Plane]:
    """Return the images of a series that show the plane at ``depth`` of the reference grid.

    These are the images whose slab holds part of the plane, and those whose centre lies in the plane's own slab;
    none of a series that is not parallel to it, or that does not reach it.
    """
    cosine = abs(float(source.grid.direction[:, 0] @ reference.direction[:, 0]))
    if cosine < PARALLEL:
        return []
    _, h, w = reference.shape
    corners = np.asarray([[depth, r, c] for r in (0, h - 1) for c in (0, w - 1)], dtype=float)
    index = source.grid.to_index(reference.to_world(corners))[:, 0]
    reach = 0.5 * max(1.0, reference.spacing_mm[0] / source.grid.spacing_mm[0]) + 1e-3
    first = max(int(np.ceil(index.min() - reach)), 0)
    last = min(int(np.floor(index.max() + reach)), len(source.planes) - 1)
    return list(source.planes[first : last + 1])


def _derivation(sources: Sequence[Source], depth: int, code: Code) -> Dataset:
    reference = sources[0]
    items = [_source_image(reference.planes[depth], kept=True)]
    for source in sources[1:]:
        kept = source.grid.same_as(reference.grid)
        items += [_source_image(plane, kept=kept) for plane in planes_at(source, reference.grid, depth)]
    derivation = Dataset()
    derivation.DerivationCodeSequence = [code_item(code)]
    derivation.SourceImageSequence = items
    return derivation


def _source_image(plane: Plane, *, kept: bool) -> Dataset:
    item = instance_item(plane.sop_instance_uid, plane.sop_class_uid)
    if plane.frame_number is not None:
        item.ReferencedFrameNumber = plane.frame_number
    item.PurposeOfReferenceCodeSequence = [code_item(SOURCE_IMAGE)]
    item.SpatialLocationsPreserved = "YES" if kept else "NO"
    return item


def instance_item(sop_instance_uid: str, sop_class_uid: str) -> Dataset:
    """Return a reference to an instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def _series(source: Source) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = source.series_uid
    item.ReferencedInstanceSequence = [instance_item(name, kind) for name, kind in source.instances.items()]
    return item


def _study(uid: str, series: list[Dataset]) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = uid
    item.ReferencedSeriesSequence = series
    return item


def code_item(code: Code) -> Dataset:
    """Return a concept as the item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item
