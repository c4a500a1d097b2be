"""All public data sets by name."""

from collections.abc import Mapping

from entrust.errors import NotFoundError
from training.datasets.public.adapter import PublicSet
from training.datasets.public.brats import BRATS20, BRATS21, BRATS23, BRATS24, MSD01
from training.datasets.public.myops import MYOPS20
from training.datasets.public.stroke import ISLES22, WMH17
from training.datasets.public.tumour import AUTOPET, HECKTOR22, HECKTOR25

SETS: Mapping[str, PublicSet] = {
    one.name: one
    for one in (
        BRATS20,
        BRATS21,
        BRATS23,
        BRATS24,
        MSD01,
        MYOPS20,
        ISLES22,
        WMH17,
        HECKTOR22,
        HECKTOR25,
        AUTOPET,
    )
}


def get_set(name: str) -> PublicSet:
    """Return the data set called ``name``.

    Raises:
        NotFoundError: No such data set.
    """
    try:
        return SETS[name]
    except KeyError:
        raise NotFoundError("There is no data set of that name.", fix=f"Use one of: {', '.join(SETS)}.") from None
