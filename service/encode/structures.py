"""The mask as an RT Structure Set: closed planar contours on the planes of the reference, for radiotherapy planning.

The segmentation is the result; contours are a copy for systems that read nothing else.

Source: PS3.3 A.19, C.8.8.5, C.8.8.6.
"""

from collections.abc import Iterator

import numpy as np
from highdicom.base import SOPClass
from jaxtyping import Bool, Float
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from entrust.contract import Label, Task
from entrust.structures import structure_mask
from service.encode.codes import coded
from service.encode.identity import PRODUCT
from service.encode.objects import Origin, equipment, instance_arguments, run_description, sign
from service.encode.outlines import outlines
from service.encode.references import code_item, instance_item
from service.encode.results import Results
from service.encode.segmentation import tracking_id
from service.encode.sources import quiet

KIND = "rtstruct"
SERIES_NUMBER = 9006
STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
"""Retired class that the type 1 reference to a study still has to name (PS3.3 C.8.8.5)."""


def encode_structures(task: Task, results: Results, origin: Origin) -> bytes:
    """Return the mask as a DICOM file of contours; a structure that was not found has none."""
    identity, header = origin.identity, origin.shells[0]
    arguments = instance_arguments(origin, KIND, SERIES_NUMBER, f"{PRODUCT}: {task.name} contours (research)")
    # explicit value representations leave 16 bits for the length of a decimal string: too few for a long outline
    arguments |= {"transfer_syntax_uid": ImplicitVRLittleEndian}
    del arguments["contributing_equipment"]
    with quiet():
        ds = SOPClass(
            study_instance_uid=header.StudyInstanceUID,
            sop_class_uid=RTStructureSetStorage,
            modality="RTSTRUCT",
            **arguments,
        )
        ds.copy_patient_and_study_information(header)
        ds.ContributingEquipmentSequence = [equipment(identity)]
        ds.StructureSetLabel = "ENTRUST RESEARCH"
        ds.StructureSetDescription = run_description(identity)
        ds.StructureSetDate, ds.StructureSetTime = ds.InstanceCreationDate, ds.InstanceCreationTime
        ds.ApprovalStatus = "UNAPPROVED"
        ds.ReferencedFrameOfReferenceSequence = [_frame_of_reference(origin)]
        ds.StructureSetROISequence = [_roi(task, label, origin) for label in task.labels]
        ds.ROIContourSequence = [
            _contours(label, structure_mask(task, results.label_map, label), origin) for label in task.labels
        ]
        ds.RTROIObservationsSequence = [_observation(label) for label in task.labels]
        ds.PositionReferenceIndicator = header.get("PositionReferenceIndicator", "")
        ds.OperatorsName = ""  # nobody drew them
        return sign(ds, origin)


def _frame_of_reference(origin: Origin) -> Dataset:
    reference = origin.sources[0]
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = reference.series_uid
    series.ContourImageSequence = [instance_item(name, kind) for name, kind in reference.instances.items()]
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = STUDY_CLASS, reference.study_uid
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = origin.header.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    return frame


def _roi(task: Task, label: Label, origin: Origin) -> Dataset:
    item = Dataset()
    item.ROINumber = label.value
    item.ReferencedFrameOfReferenceUID = origin.header.FrameOfReferenceUID
    item.ROIName = label.title
    item.ROIDescription = f"{label.title}, {task.title}"[:1024]
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    item.TrackingID, item.TrackingUID = tracking_id(task, label), origin.identity.uid("tracking", label.slug)
    return item


def _observation(label: Label) -> Dataset:
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = label.value
    item.RTROIInterpretedType, item.ROIInterpreter = "", ""  # a person decides what it is in a plan
    item.RTROIIdentificationCodeSequence = [code_item(coded(label.property_type))]
    return item


def _contours(label: Label, mask: Bool[np.ndarray, "d h w"], origin: Origin) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = label.value
    item.ROIDisplayColor = list(label.colour)
    found = [
        _contour(points, int(depth), origin)
        for depth in np.flatnonzero(mask.any(axis=(1, 2)))
        for points in outlines(mask[depth])
    ]
    if found:
        item.ContourSequence = list(_numbered(found))
    return item


def _numbered(contours: list[Dataset]) -> Iterator[Dataset]:
    for number, contour in enumerate(contours, start=1):
        contour.ContourNumber = number
        yield contour


def _contour(points: Float[np.ndarray, "n 2"], depth: int, origin: Origin) -> Dataset:
    """Return a contour on the plane of a source image, at the place that the image itself states."""
    grid, plane = origin.sources[0].grid, origin.sources[0].planes[depth]
    corner_mm = np.asarray([float(v) for v in origin.shells[depth].ImagePositionPatient])
    points_mm = corner_mm + points @ (grid.direction * np.asarray(grid.spacing_mm))[:, 1:].T  # [n, 3], LPS
    image = instance_item(plane.sop_instance_uid, plane.sop_class_uid)
    if plane.frame_number is not None:
        image.ReferencedFrameNumber = plane.frame_number
    item = Dataset()
    item.ContourImageSequence = [image]
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(points)
    item.ContourData = [f"{v:.3f}" for v in points_mm.ravel()]
    return item
