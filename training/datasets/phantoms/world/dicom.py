"""A case as a DICOM study, one series a modality. Names, numbers and dates are visibly made up."""

from pathlib import Path

from pydicom.dataset import Dataset

from training.datasets.phantoms.dicom import (
    T1_SPIN_ECHO,
    Sequence,
    Subject,
    ct_series,
    mr_series,
    pet_series,
    save_series,
)
from training.datasets.phantoms.world.case import WorldCase

BODY = {"brain": "Head", "cardiac": "Heart", "lesion": "Head", "oncology": "Neck"}

SEQUENCES = {
    "t1": T1_SPIN_ECHO,
    "t1c": Sequence("AX T1 SE POST GD", "SE", "600", "12"),
    "flair": Sequence("AX T2 FLAIR", "IR", "9000", "110", "2500"),
    "bssfp": Sequence("SAX CINE TRUFISP", "GR", "3", "1.5"),
    "lge": Sequence("SAX LGE PSIR", "IR", "800", "2", "250"),
    "dwi": Sequence("AX DWI B1000 TRACE", "EP", "5000", "80"),
    "adc": Sequence("AX ADC", "EP", "5000", "80"),
}
T2_SEQUENCES = {
    "brain": Sequence("AX T2 TSE", "SE", "5000", "95"),
    "cardiac": Sequence("SAX T2 BLACK BLOOD", "SE", "1800", "70"),
}


def write_case(case: WorldCase, folder: Path) -> tuple[Path, ...]:
    """Write a case as single-frame images, one folder a modality; absent modalities are left out.

    Args:
        case: What to write.
        folder: The study's folder.

    Returns:
        The files, in the order of modalities and position.
    """
    subject = Subject(case.index, f"entrust conflict world {case.name}", BODY[case.domain.name])
    series: dict[str, list[Dataset]] = {}
    for index, channel in enumerate(case.domain.channels):
        if not case.presence[index].any():
            continue
        slug, image = channel.role.slug, case.images[index].astype(float)
        if channel.role.units == "HU":
            series[slug] = ct_series(subject, case.grid, image)
        elif channel.role.units == "SUV":
            series[slug] = pet_series(subject, case.grid, image)
        else:
            sequence = T2_SEQUENCES[case.domain.name] if slug == "t2" else SEQUENCES[slug]
            series[slug] = mr_series(subject, slug, case.grid, image, sequence)
    for dataset in (ds for datasets in series.values() for ds in datasets):
        dataset.BodyPartExamined = BODY[case.domain.name].upper()
        del dataset.Laterality  # none of these has a left and a right
    return save_series(series, folder)
