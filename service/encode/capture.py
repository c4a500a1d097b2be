"""The montage as a Secondary Capture, for viewers that show no overlays."""

from io import BytesIO

import numpy as np
from highdicom.sc import SCImage
from PIL import Image

from entrust.contract import Task
from service.encode.identity import PRODUCT
from service.encode.objects import Origin, instance_arguments, run_description, sign, state_anatomy
from service.encode.sources import facing, quiet

KIND = "secondary_capture"
SERIES_NUMBER = 9007


def _orientation(task: Task, origin: Origin) -> tuple[str, str]:
    """Return where rows and columns of the panels lead: axial ones, or as in the reference series."""
    if task.plane == "axial":
        return "L", "P"
    _, down, right = origin.sources[0].grid.direction.T
    return facing(right), facing(down)


def encode_capture(task: Task, montage: bytes, origin: Origin) -> bytes:
    """Return the montage as a DICOM file.

    The picture holds words and numbers, but none that tell who the patient is; that is what BurnedInAnnotation asks
    (PS3.3 C.7.6.1.1).

    Args:
        task: What was done.
        montage: The picture as PNG.
        origin: Where it comes from.
    """
    with Image.open(BytesIO(montage)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    header = origin.shells[0]
    with quiet():
        ds = SCImage(
            pixel_array=pixels,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=_orientation(task, origin),
            study_instance_uid=header.StudyInstanceUID,
            **instance_arguments(origin, KIND, SERIES_NUMBER, f"{PRODUCT}: {task.name} montage (research)"),
        )
        ds.copy_patient_and_study_information(header)
        state_anatomy(ds, origin.header)
        ds.ConversionType = "SYN"
        ds.BurnedInAnnotation = "NO"
        ds.DerivationDescription = f"{task.title}: images, outline, error probability, conflict"
        ds.ImageComments = run_description(origin.identity)
        return sign(ds, origin, without=("FrameOfReferenceUID",))
