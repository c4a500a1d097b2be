"""What the DICOM results have in common: where they start from, who made them, and their last touches."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from highdicom import ContributingEquipment
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian

from service.encode.identity import MANUFACTURER, PRODUCT, Identity, product_version
from service.encode.references import cite
from service.encode.sources import VERBATIM, Source, clean_header, quiet, shells, sources_of
from service.study import Case

logging.getLogger("highdicom").setLevel(logging.ERROR)  # it logs UIDs at lower levels

UNPAIRED = frozenset(
    {
        "ABDOMEN", "ABDOMENPELVIS", "AORTA", "BLADDER", "BRAIN", "CERVIX", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS",
        "COCCYX", "COLON", "CSPINE", "CTSPINE", "ESOPHAGUS", "FACE", "HEAD", "HEADNECK", "HEART", "JAW", "LARYNX",
        "LIVER", "LSPINE", "LSSPINE", "MEDIASTINUM", "NECK", "NECKCHEST", "NECKCHESTABDOMEN", "NOSE", "PANCREAS",
        "PELVIS", "PHARYNX", "PROSTATE", "RECTUM", "SKULL", "SPINE", "SPLEEN", "SSPINE", "STERNUM", "STOMACH",
        "THYROID", "TLSPINE", "TONGUE", "TRACHEA", "TSPINE", "UTERUS", "WHOLEBODY"
    }
)  # fmt: skip
"""Body parts without a left and a right (PS3.16 annex L); with these, Laterality must not be there."""


@dataclass(frozen=True, eq=False)
class Origin:
    """Where the results of a case start from.

    Attributes:
        header: Patient, study and frame-of-reference attributes, as they shall stand in results.
        shells: Bare images with the reference's geometry, in depth order.
        sources: Series used, the reference first.
        identity: Decides all UIDs.
    """

    header: Dataset
    shells: list[Dataset]
    sources: tuple[Source, ...]
    identity: Identity

    @property
    def device_uid(self) -> str:
        """UID of the model as a device."""
        return self.identity.device_uid

    @classmethod
    def of(cls, case: Case, identity: Identity) -> "Origin":
        """Read what the source images say about themselves."""
        with quiet():
            header = clean_header(case.reference.datasets[0])
            if not header.get("FrameOfReferenceUID"):
                # the planes define a space of their own, which then needs a name
                header.FrameOfReferenceUID = identity.uid("frame-of-reference")
            return cls(
                header,
                shells(case.reference, header),
                sources_of(case.reference, [case.used[slug] for slug in case.task.slugs if slug in case.used]),
                identity,
            )


def instance_arguments(origin: Origin, kind: str, series_number: int, description: str) -> dict[str, Any]:
    """Return the arguments that highdicom wants for any new instance.

    Args:
        origin: Where the results start from.
        kind: Slug of the object kind; each gets a series of its own.
        series_number: SeriesNumber.
        description: SeriesDescription.
    """
    identity = origin.identity
    return {
        "series_instance_uid": identity.uid(kind, "series"),
        "series_number": series_number,
        "series_description": description,
        "sop_instance_uid": identity.uid(kind, "instance"),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": PRODUCT,
        "software_versions": _software_versions(identity),
        "device_serial_number": identity.card.digest[:16],
        "transfer_syntax_uid": ExplicitVRLittleEndian,
        "contributing_equipment": [equipment(identity)],
    }


def finish(ds: Dataset, origin: Origin, kind: str, derivation: Code) -> bytes:
    """Complete a multi-frame result that highdicom built and return it as a file.

    Args:
        ds: The result.
        origin: Where it started from.
        kind: Slug of the object kind.
        derivation: How the frames come from the source images (CID 7203).
    """
    state_anatomy(ds, origin.header)
    ds.ContentQualification = "RESEARCH"
    _name_dimensions(ds, origin.identity.uid(kind, "dimensions"))
    cite(ds, origin.sources, derivation)
    return sign(ds, origin)


def sign(ds: Dataset, origin: Origin, *, without: Sequence[str] = ()) -> bytes:
    """Say whose result it is, and which device made it, and return it as a file.

    Args:
        ds: The result, complete but for that.
        origin: Where it started from.
        without: Attributes to match by that objects of this class do not have.
    """
    for keyword in VERBATIM:
        if keyword in origin.header and keyword not in without:
            ds[keyword] = origin.header[keyword]
    for keyword in ("AdmissionID", "IssuerOfPatientID", "OtherPatientIDsSequence", _request_keyword(ds)):
        if keyword in origin.header:
            ds[keyword] = origin.header[keyword]
    ds.SpecificCharacterSet = origin.header.SpecificCharacterSet
    ds.DeviceUID = origin.identity.device_uid
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _request_keyword(ds: Dataset) -> str:
    """Return where a result says who asked for the images: reports have another place for it (PS3.3 C.17.2)."""
    return "ReferencedRequestSequence" if ds.SOPClassUID == Comprehensive3DSRStorage else "RequestAttributesSequence"


def run_description(identity: Identity) -> str:
    """Return one line about the run for free-text attributes."""
    return ", ".join(f"{name}={value}" for name, value in identity.parameters.items())


def equipment(identity: Identity) -> ContributingEquipment:
    """Return the model as a device that contributed (PS3.3 C.12.1.1.5)."""
    item = ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name=f"{PRODUCT} {identity.card.task}",
        software_versions=_software_versions(identity),
        device_serial_number=identity.card.digest[:16],
        contribution_description=f"Segmentation with trust map: {run_description(identity)}",
    )
    item.DeviceUID = identity.device_uid
    return item


def _software_versions(identity: Identity) -> tuple[str, str]:
    return f"{PRODUCT} {product_version()}", f"model {identity.card.task} {identity.card.version}"


def state_anatomy(ds: Dataset, header: Dataset) -> None:
    """Say which body part and side is shown, as far as the source does.

    PS3.3 C.7.3.1.1.1 wants Laterality (type 2C, empty where unknown) for paired body parts unless the image itself
    says the side. Segmentations are exempt.
    """
    body_part, side = header.get("BodyPartExamined", ""), header.get("Laterality", "")
    if body_part:
        ds.BodyPartExamined = body_part
    if side:
        ds.ImageLaterality = side
    elif ds.Modality != "SEG" and body_part not in UNPAIRED:
        ds.Laterality = ""


def _name_dimensions(ds: Dataset, uid: str) -> None:
    """Replace the random DimensionOrganizationUID by one that follows from the content."""
    holders: Sequence[Dataset] = [*ds.DimensionOrganizationSequence, *ds.DimensionIndexSequence]
    for holder in holders:
        holder.DimensionOrganizationUID = uid
