"""Quantities as DICOM Parametric Maps: float32 in [0, 1], on the planes of the reference."""

from dataclasses import dataclass

from highdicom import VOILUTTransformation
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.pm import ParametricMap, RealWorldValueMapping
from jaxtyping import Float32
from numpy import ndarray
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from service.encode.identity import MANUFACTURER, PRODUCT
from service.encode.objects import Origin, finish, instance_arguments, run_description
from service.encode.sources import quiet

SCHEME = "99ENTRUST"
"""Private coding scheme: the standard has no codes for these quantities."""


@dataclass(frozen=True)
class Quantity:
    """What a map holds.

    Attributes:
        kind: Slug of the object kind.
        code: Its code in :data:`SCHEME`.
        label: ContentLabel and LUT label, a code string of up to 16 characters.
        description: Words for people, up to 64 characters.
        series_number: SeriesNumber.
    """

    kind: str
    code: str
    label: str
    description: str
    series_number: int


ERROR_PROBABILITY = Quantity(
    "error_probability", "ERRPROB", "ERROR_PROB", "Calibrated probability that the segmentation is wrong", 9002
)
CONFLICT = Quantity("conflict", "CONFLICT", "CONFLICT", "Contradiction between imaging modalities", 9003)


def encode_parametric_map(quantity: Quantity, values: Float32[ndarray, "d h w"], origin: Origin) -> bytes:
    """Return values in [0, 1] on the reference's planes as a DICOM file.

    float32 in 0..1 with an identity mapping is the encoding that viewers were seen to show correctly; integers and
    percent were not.
    """
    mapping = RealWorldValueMapping(
        lut_label=quantity.label,
        lut_explanation=quantity.description,
        unit=codes.UCUM.NoUnits,
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=Code(quantity.code, SCHEME, quantity.description),
    )
    scheme = CodingSchemeIdentificationItem(
        designator=SCHEME, name=f"{PRODUCT} quantities", version="1", responsible_organization=MANUFACTURER
    )
    with quiet():
        ds = ParametricMap(
            source_images=origin.shells,
            pixel_array=values,
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[mapping],
            voi_lut_transformations=[VOILUTTransformation(window_center=0.5, window_width=1.0)],
            content_label=quantity.label,
            content_description=quantity.description,
            content_creator_name="EnTrust^Serve",
            coding_schemes=[scheme],
            **instance_arguments(
                origin, quantity.kind, quantity.series_number, f"{PRODUCT}: {quantity.kind} (research)"
            ),
        )
        ds.ImageComments = run_description(origin.identity)
        return finish(ds, origin, quantity.kind, codes.DCM.UnspecifiedMethodOfCalculation)
