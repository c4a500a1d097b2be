"""Glioma on T1, T1c, T2 and FLAIR: the BraTS challenges, and the first task of the Medical Segmentation Decathlon.

The regions of the challenges are our nested structures: whole tumour (oedema and core) ⊇ tumour core (necrosis, tumour
without enhancement, enhancing tumour) ⊇ enhancing tumour.
"""

from training.datasets.public.adapter import PublicSet
from training.datasets.public.files import source

UNTIL_2021 = {"t1": "t1", "t1c": "t1ce", "t2": "t2", "flair": "flair"}
SINCE_2023 = {"t1": "t1n", "t1c": "t1c", "t2": "t2w", "flair": "t2f"}

_UNTIL_2020 = r"(BraTS(?:17|18|19|20)_[^/]+)/\1_"  # before 2020 in folders HGG and LGG
_2021 = r"(BraTS2021_\d+)/\1_"
_GLI = r"(BraTS-GLI-\d+-\d+)/\1-"

BRATS20 = PublicSet(
    name="brats20",
    title="BraTS 2020 (and 2017 to 2019)",
    task="brain",
    images={slug: source(_UNTIL_2020 + name) for slug, name in UNTIL_2021.items()},
    label=source(_UNTIL_2020 + "seg", r"(BraTS20_Training_355)/W39_1998\.09\.19_Segm"),  # one was never renamed
    values={0: 0, 2: 1, 1: 2, 4: 3},
    example="BraTS20_Training_001/BraTS20_Training_001_t1ce.nii.gz",
)

BRATS21 = PublicSet(
    name="brats21",
    title="BraTS 2021",
    task="brain",
    images={slug: source(_2021 + name) for slug, name in UNTIL_2021.items()},
    label=source(_2021 + "seg"),
    values={0: 0, 2: 1, 1: 2, 4: 3},
    example="BraTS2021_00000/BraTS2021_00000_t1ce.nii.gz",
)

BRATS23 = PublicSet(
    name="brats23",
    title="BraTS 2023, glioma",
    task="brain",
    images={slug: source(_GLI + name) for slug, name in SINCE_2023.items()},
    label=source(_GLI + "seg"),
    values={0: 0, 2: 1, 1: 2, 3: 3},
    example="BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz",
)

BRATS24 = PublicSet(
    name="brats24",
    title="BraTS 2024, glioma after treatment",
    task="brain",
    images=BRATS23.images,
    label=BRATS23.label,
    values={**BRATS23.values, 4: 0},
    example="BraTS-GLI-00005-100/BraTS-GLI-00005-100-t1c.nii.gz",
    caveat="Resection cavities (value 4) are background, as they are no part of the challenge's whole tumour.",
)

MSD01 = PublicSet(
    name="msd01",
    title="Medical Segmentation Decathlon, Task01 BrainTumour",
    task="brain",
    images={
        slug: source(r"images(?:Tr|Ts)/(BRATS_\d+)", channel=channel)
        for channel, slug in enumerate(("flair", "t1", "t1c", "t2"))
    },
    label=source(r"labelsTr/(BRATS_\d+)"),
    values={0: 0, 1: 1, 2: 2, 3: 3},
    example="imagesTr/BRATS_001.nii.gz",
)
