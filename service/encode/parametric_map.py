"""Quantities as DICOM Parametric Maps: float32 on the planes of the reference."""

from dataclasses import dataclass
from math import log

import numpy as np
from highdicom import VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from jaxtyping import Float32
from numpy import ndarray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from entrust.contract import Modality
from service.encode import codes as private
from service.encode.identity import PRODUCT
from service.encode.objects import Origin, finish, instance_arguments, run_description
from service.encode.references import frame_depths
from service.encode.sources import quiet


@dataclass(frozen=True)
class Quantity:
    """What a map holds.

    Attributes:
        kind: Slug of the object kind.
        code: Its code; the meaning has up to 64 characters.
        label: ContentLabel and LUT label, a code string of up to 16 characters.
        series_number: SeriesNumber.
        upper: Largest value it can have.
    """

    kind: str
    code: Code
    label: str
    series_number: int
    upper: float = 1.0


ERROR_PROBABILITY = Quantity("error_probability", private.ERROR_PROBABILITY, "ERROR_PROB", 9002)
CONFLICT = Quantity("conflict", private.CONFLICT, "CONFLICT", 9003)


def attribution(number: int, modality: Modality) -> Quantity:
    """Return the quantity *shift of the answer without a modality*, a Jensen–Shannon divergence.

    Args:
        number: Place of the modality in its task, from 0.
        modality: The modality.
    """
    code = private.attribution(modality.slug, modality.title)
    return Quantity(f"attribution_{modality.slug}", code, code.value[:16], 9011 + number, upper=log(2.0))


def encode_parametric_map(quantity: Quantity, values: Float32[ndarray, "d h w"], origin: Origin) -> bytes:
    """Return values in [0, ``quantity.upper``], at most 1, on the reference's planes as a DICOM file.

    float32 in 0..1 with an identity mapping is the encoding that viewers were seen to show correctly; integers and
    percent were not.
    """
    description = quantity.code.meaning
    mapping = RealWorldValueMapping(
        lut_label=quantity.label,
        lut_explanation=description,
        unit=codes.UCUM.NoUnits,
        value_range=(0.0, quantity.upper),
        slope=1.0,
        intercept=0.0,
        quantity_definition=quantity.code,
    )
    with quiet():
        ds = ParametricMap(
            source_images=origin.shells,
            pixel_array=values,
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[mapping],
            voi_lut_transformations=[VOILUTTransformation(window_center=0.5, window_width=1.0)],
            content_label=quantity.label,
            content_description=description,
            content_creator_name="EnTrust^Serve",
            coding_schemes=[private.scheme()],
            **instance_arguments(
                origin, quantity.kind, quantity.series_number, f"{PRODUCT}: {quantity.kind} (research)"
            ),
        )
        _ascend(ds, origin)
        ds.ImageComments = run_description(origin.identity)
        return finish(ds, origin, quantity.kind, codes.DCM.UnspecifiedMethodOfCalculation)


def _ascend(ds: Dataset, origin: Origin) -> None:
    """Put the frames in the order of the reference's planes along their normal; highdicom puts them the other way.

    Each frame says where it lies, but viewers were seen that lay the frames of a map on the planes of its images one by
    one, from the lowest along the normal: a map in any other order is upside down there.
    """
    order = np.argsort(frame_depths(ds, origin.sources[0].grid))
    groups = ds.PerFrameFunctionalGroupsSequence
    ds.PerFrameFunctionalGroupsSequence = [groups[frame] for frame in order]
    for number, group in enumerate(ds.PerFrameFunctionalGroupsSequence, start=1):
        group.FrameContentSequence[0].DimensionIndexValues = number
    ds.FloatPixelData = np.frombuffer(ds.FloatPixelData, "<f4").reshape(len(order), -1)[order].tobytes()
