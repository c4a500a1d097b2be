"""Lesions of the brain: ISLES 2022 (infarcts on DWI, ADC, FLAIR) and WMH 2017 (white matter hyperintensities)."""

from training.datasets.public.adapter import PublicSet
from training.datasets.public.files import source

_CASE = r"(sub-strokecase\d+)/ses-\d+/(?:anat/|dwi/)?\1_ses-\d+_"

ISLES22 = PublicSet(
    name="isles22",
    title="ISLES 2022",
    task="lesion",
    images={slug: source(_CASE + slug) for slug in ("dwi", "adc", "flair")},
    label=source(_CASE + "msk"),
    values={0: 0, 1: 1},
    example=(
        "sub-strokecase0001/ses-0001/dwi/sub-strokecase0001_ses-0001_dwi.nii.gz or "
        "rawdata/sub-strokecase0001/ses-0001/sub-strokecase0001_ses-0001_dwi.nii.gz"
    ),
)

_PATIENT = r"((?:Utrecht|Singapore|Amsterdam/[^/]+)/\d+)/"

WMH17 = PublicSet(
    name="wmh17",
    title="WMH 2017",
    task="lesion",
    # bias-corrected before as acquired; the T1 is of no role in the task, and DWI and ADC are missing
    images={"flair": source(_PATIENT + "pre/FLAIR", _PATIENT + "orig/FLAIR")},
    label=source(_PATIENT + "wmh"),
    values={0: 0, 1: 1},
    example="training/Utrecht/0/pre/FLAIR.nii.gz",
    ignored=frozenset({2}),
    raters={
        rater: source(rf"additional_annotations/observer_{rater}/(?:training|test)/{_PATIENT}result")
        for rater in ("o3", "o4")
    },
    caveat="White matter hyperintensities are not infarcts: weights fitted to infarcts are asked something else here.",
)
