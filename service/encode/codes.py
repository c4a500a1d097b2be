"""The private coding scheme of the results, for what the standard has no code for."""

from collections.abc import Sequence

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.coding import Code

from entrust import contract
from service.encode.identity import MANUFACTURER, PRODUCT
from service.summary import Cause

SCHEME = "99ENTRUST"

ERROR_PROBABILITY = Code("ERRPROB", SCHEME, "Calibrated probability that the segmentation is wrong")
CONFLICT = Code("CONFLICT", SCHEME, "Contradiction between imaging modalities")

VOLUME_LOW = Code("VOLUMELOW", SCHEME, "Lower end of the volume interval")
VOLUME_HIGH = Code("VOLUMEHIGH", SCHEME, "Upper end of the volume interval")
INTERVAL_LEVEL = Code("VOLUMELEVEL", SCHEME, "Probability that the volume interval holds the true volume")
RELIABILITY = Code("RELIABILITY", SCHEME, "Reliability of the segmentation")
REASON = Code("REASON", SCHEME, "What keeps the reliability from being high")
CAUSE = Code("CAUSE", SCHEME, "Cause of doubt in the uncertain regions")
MISSING = Code("MISSING", SCHEME, "Modality that was not there")
REGISTERED = Code("REGISTERED", SCHEME, "Modality registered from another frame of reference")
MODEL_GRID = Code("MODELGRID", SCHEME, "Voxels counted on the grid of the model")


def scheme() -> CodingSchemeIdentificationItem:
    """Return the item that tells a receiver whose scheme it is."""
    return CodingSchemeIdentificationItem(
        designator=SCHEME, name=f"{PRODUCT} quantities", version="1", responsible_organization=MANUFACTURER
    )


def attribution(slug: str, title: str) -> Code:
    """Return the quantity *shift of the answer without a modality*."""
    return Code(f"ATTR_{slug.upper()}", SCHEME, f"Shift of the answer without {title}, nats")


def coded(concept: contract.Code) -> Code:
    """Return a concept of the contract as pydicom has it."""
    return Code(concept.value, concept.scheme, concept.meaning)


def modality(slug: str, title: str) -> Code:
    """Return a modality of a task as a value."""
    return Code(f"MODALITY_{slug.upper()}", SCHEME, title[:64])


_REASONS = {
    "nothing-found": "Nothing was found, which is no evidence of absence",
    "hypotheses-disagree": "The hypotheses disagree",
    "error-probable": "Errors are probable around the structure",
    "volume-uncertain": "The volume is uncertain",
    "registration-doubtful": "Images of two frames of reference may not match",
}
_CAUSES: dict[Cause, str] = {
    "conflict": "{} contradict each other",
    "missing-modality": "No data of {}",
    "boundary": "Course of the outline",
    "low-evidence": "Little evidence in any modality",
}


def reason(slug: str) -> Code:
    """Return a reason for less than high reliability as a value."""
    return Code(slug.upper().replace("-", "_"), SCHEME, _REASONS[slug])


def cause(kind: Cause, slugs: Sequence[str], titles: Sequence[str]) -> Code:
    """Return a cause of doubt as a value; it names the modalities that disagree, or that are missing."""
    value = "_".join([kind.upper().replace("-", "_"), *(slug.upper() for slug in slugs)])
    return Code(value, SCHEME, _CAUSES[kind].format(" and ".join(titles))[:64])
