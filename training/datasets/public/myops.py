"""Myocardial infarct on bSSFP, late enhancement and T2: MyoPS 2020.

Every voxel has one value; the scar lies within the oedema and both within the myocardium, so label r of ours holds the
structures 1 … r. The cavities of both ventricles are background.
"""

from training.datasets.public.adapter import PublicSet
from training.datasets.public.files import source

_CASE = r"(myops_(?:training|test)_\d+)_"

MYOPS20 = PublicSet(
    name="myops20",
    title="MyoPS 2020",
    task="cardiac",
    images={slug: source(_CASE + name) for slug, name in {"bssfp": "C0", "lge": "DE", "t2": "T2"}.items()},
    label=source(_CASE + "gd"),
    values={0: 0, 500: 0, 600: 0, 200: 1, 1220: 2, 2221: 3},
    example="train25/myops_training_101_DE.nii.gz and train25_myops_gd/myops_training_101_gd.nii.gz",
)
