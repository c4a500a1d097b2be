"""The mask as a DICOM Segmentation, one segment per label: binary, or as a label map."""

from typing import Literal

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from jaxtyping import UInt8
from pydicom.sr.codedict import codes

from entrust.contract import Label, Task
from entrust.structures import structure_mask
from service.encode.codes import coded
from service.encode.identity import MANUFACTURER, PRODUCT
from service.encode.objects import Origin, finish, instance_arguments, run_description
from service.encode.results import Results
from service.encode.sources import quiet
from service.extra_results import check_label_map

Form = Literal["BINARY", "LABELMAP"]

_KINDS: dict[Form, tuple[str, int, str]] = {
    "BINARY": ("segmentation", 9001, "segmentation"),
    "LABELMAP": ("labelmap", 9005, "segmentation as label map"),
}
"""Slug, SeriesNumber and words of each form."""


def encode_segmentation(task: Task, results: Results, origin: Origin, form: Form = "BINARY") -> bytes:
    """Return the mask as a DICOM file.

    Every plane of the reference has a frame (in the binary form one per segment), empty or not: viewers that meet
    omitted frames shift or drop the rest. Segments of nested structures overlap.

    Args:
        task: Gives the labels.
        results: The mask.
        origin: Where it comes from.
        form: ``BINARY``, which everybody reads; ``LABELMAP`` is smaller and newer (Supplement 243).

    Raises:
        InvalidInputError: A label map was asked for, whose segments cannot overlap as the task's do.
    """
    if form == "LABELMAP":
        check_label_map(task)
    kind, series_number, words = _KINDS[form]
    with quiet():
        ds = Segmentation(
            source_images=origin.shells,
            pixel_array=_pixels(task, results),
            segmentation_type=form,
            segment_descriptions=[_segment(task, label, origin) for label in task.labels],
            omit_empty_frames=False,
            content_label=form if form == "LABELMAP" else "SEGMENTATION",
            content_description=run_description(origin.identity)[:64],
            content_creator_name="EnTrust^Serve",
            **instance_arguments(origin, kind, series_number, f"{PRODUCT}: {task.name} {words} (research)"),
        )
        return finish(ds, origin, kind, codes.cid7203.SegmentationImageDerivation)


def tracking_id(task: Task, label: Label) -> str:
    """Return the name under which every result follows a structure."""
    return f"{task.name}-{label.slug}"


def _pixels(task: Task, results: Results) -> UInt8[np.ndarray, "d h w *l"]:
    """Return label map or, where structures overlap, one mask per structure."""
    if not task.nested:
        return results.label_map
    return np.stack([structure_mask(task, results.label_map, label) for label in task.labels], axis=-1).astype(np.uint8)


def _segment(task: Task, label: Label, origin: Origin) -> SegmentDescription:
    identity = origin.identity
    algorithm = AlgorithmIdentificationSequence(
        name=f"EnTrust {task.name}",
        family=codes.cid7162.ArtificialIntelligence,
        version=identity.card.version,
        source=MANUFACTURER,
        parameters=identity.parameters,
    )
    description = SegmentDescription(
        segment_number=label.value,
        segment_label=label.title,
        segmented_property_category=coded(label.property_category),
        segmented_property_type=coded(label.property_type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_uid=identity.uid("tracking", label.slug),
        tracking_id=tracking_id(task, label),
        display_color=CIELabColor.from_rgb(*label.colour),
        anatomic_regions=[coded(task.anatomic_region)] if task.anatomic_region else None,
    )
    description.SegmentDescription = f"{label.title}, {task.title}"[:1024]
    return description
