"""The mask as a DICOM Segmentation (binary, one segment per label, a frame for every plane of the reference)."""

from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from entrust import contract
from entrust.contract import Label, Task
from service.encode.identity import MANUFACTURER, PRODUCT
from service.encode.objects import Origin, finish, instance_arguments, run_description
from service.encode.results import Results
from service.encode.sources import quiet

KIND = "segmentation"
SERIES_NUMBER = 9001


def encode_segmentation(task: Task, results: Results, origin: Origin) -> bytes:
    """Return the mask as a DICOM file.

    Every plane of the reference has a frame, empty or not: viewers that meet omitted frames shift or drop the rest.
    """
    with quiet():
        ds = Segmentation(
            source_images=origin.shells,
            pixel_array=results.label_map,
            segmentation_type="BINARY",
            segment_descriptions=[_segment(task, label, origin) for label in task.labels],
            omit_empty_frames=False,
            content_label="SEGMENTATION",
            content_description=run_description(origin.identity)[:64],
            content_creator_name="EnTrust^Serve",
            **instance_arguments(origin, KIND, SERIES_NUMBER, f"{PRODUCT}: {task.name} segmentation (research)"),
        )
        return finish(ds, origin, KIND, codes.cid7203.SegmentationImageDerivation)


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
        segmented_property_category=_coded(label.property_category),
        segmented_property_type=_coded(label.property_type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_uid=identity.uid("tracking", label.slug),
        tracking_id=f"{task.name}-{label.slug}",
        display_color=CIELabColor.from_rgb(*label.colour),
    )
    description.SegmentDescription = f"{label.title}, {task.title}"[:1024]
    return description


def _coded(concept: contract.Code) -> Code:
    return Code(concept.value, concept.scheme, concept.meaning)
