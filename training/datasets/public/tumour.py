"""Tumours on CT and FDG PET: HECKTOR 2022 and 2025 (head and neck), AutoPET (whole body)."""

from training.datasets.public.adapter import PublicSet
from training.datasets.public.files import source

_UNION = {0: 0, 1: 1, 2: 1}
"""Primary tumour and lymph nodes are one gross tumour volume."""

_NO_MR = "The set has no T1, and shows another region than the patients of the released weights (limbs)."

_PATIENT = r"([A-Z]+-\d+)"

HECKTOR22 = PublicSet(
    name="hecktor22",
    title="HECKTOR 2022",
    task="oncology",
    images={
        slug: source(rf"images(?:Tr|Ts)/{_PATIENT}__{name}")
        for slug, name in {"ct": "CT", "pet": "PT", "t1": "T1"}.items()  # T1: of exported phantoms alone
    },
    label=source(rf"labels(?:Tr|Ts)/{_PATIENT}"),
    values=_UNION,
    example="imagesTr/CHUM-001__PT.nii.gz",
    caveat=_NO_MR,
)

HECKTOR25 = PublicSet(
    name="hecktor25",
    title="HECKTOR 2025",
    task="oncology",
    # the same patients lie under every task, with labels under the first
    images={
        slug: source(rf"Task ?1/{_PATIENT}/\1__{name}", rf"{_PATIENT}/\1__{name}")
        for slug, name in {"ct": "CT", "pet": "PT"}.items()
    },
    label=source(rf"{_PATIENT}/\1"),
    values=_UNION,
    example="Task 1/CHUM-001/CHUM-001__PT.nii.gz",
    caveat=_NO_MR,
)

# of a study's date, protocol and number, the number names it
_STUDY = r"(PETCT_[0-9a-z]+)/(?:[^/]*-)?([^/-]+)/"


AUTOPET = PublicSet(
    name="autopet",
    title="AutoPET (FDG-PET-CT-Lesions)",
    task="oncology",
    # CTres lies on the grid of the PET already
    images={"ct": source(_STUDY + "CTres", _STUDY + "CT"), "pet": source(_STUDY + "SUV")},
    label=source(_STUDY + "SEG"),
    values={0: 0, 1: 1},
    example="FDG-PET-CT-Lesions/PETCT_<patient>/<study>/SUV.nii.gz",
    caveat=_NO_MR,
)
