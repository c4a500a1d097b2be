from typing import Any

import numpy as np
import pytest

from entrust.contract import ONCOLOGY
from entrust.errors import InvalidInputError
from entrust.volume import Volume
from service.selection.sequences import mr_sequence
from service.study import Series, Study
from tests.factories.dicom_series import plane_grid
from tests.factories.selections import cast

GRID = plane_grid("axial", shape=(2, 3, 4))


def _series(
    dicom_modality: str, number: int | None = 1, description: str = "", frame: str = "F", role: str = "", **tags: Any
) -> Series:
    tags = {"SeriesNumber": number, "SeriesDescription": description, **tags}
    return Series(
        uid=f"uid-{dicom_modality}-{number}-{description}",
        dicom_modality=dicom_modality,
        description=description,
        frame_of_reference_uid=frame,
        volume=Volume(np.zeros(GRID.shape, np.float32), GRID),
        units="arbitrary",
        attributes={k: v for k, v in tags.items() if v is not None},
        role=role,
    )


def _assign(*series: Series, **assignment: str) -> dict[str, int]:
    chosen = cast(Study("dicom", "", series), ONCOLOGY, assignment)
    return {slug: one.attributes["SeriesNumber"] for slug, one in chosen.series.items()}


@pytest.mark.parametrize(
    ("description", "tags", "expected"),
    [
        ("AXIAL SE T1 - RESEARCH", {}, "t1"),
        ("AXIAL SE T2 FAT SAT - RESEARCH", {}, "t2"),
        ("IBSI_1_STS_001_MR_T1_image", {}, "t1"),
        ("t1_mprage_sag_p2_iso", {}, "t1"),
        ("Sag 3D MPRAGE", {}, "t1"),
        ("AX T1 POST GD", {}, "t1c"),
        ("AX T1 FSE +C", {}, "t1c"),
        ("t1_vibe_fs_km", {}, "t1c"),
        ("AX T1 PRE CONTRAST", {}, "t1"),
        ("AX T1", {"ContrastBolusAgent": "Gadovist"}, "t1c"),
        ("AX T1", {"ContrastBolusAgent": "NONE"}, "t1"),
        ("T1W_TSE_AX", {}, "t1"),
        ("AX T2 FLAIR", {}, "flair"),
        ("t2_tirm_tra_dark-fluid", {}, "flair"),
        ("AX T1 FLAIR", {}, "t1"),
        ("COR STIR", {}, "t2"),
        ("ep2d_diff_b1000", {}, "dwi"),
        ("AX DWI", {"ImageType": ("DERIVED", "PRIMARY", "ADC")}, "adc"),
        ("AX T2* GRE", {}, "other"),
        ("SWI_images", {}, "other"),
        ("3-plane localizer T1", {}, "other"),
        ("", {"EchoTime": 12.0, "RepetitionTime": 550.0, "ScanningSequence": "SE"}, "t1"),
        ("", {"EchoTime": 100.0, "RepetitionTime": 4500.0, "ScanningSequence": ("SE", "IR")}, "t2"),
        ("", {"EchoTime": 120.0, "RepetitionTime": 9000.0, "InversionTime": 2500.0}, "flair"),
        ("", {"EchoTime": 2.5, "RepetitionTime": 8.0, "ScanningSequence": "GR"}, "t1"),
        ("", {"EchoTime": 20.0, "RepetitionTime": 30.0, "ScanningSequence": "GR"}, ""),
        ("", {"EchoTime": 70.0, "RepetitionTime": 4000.0, "DiffusionBValue": 800.0}, "dwi"),
        ("knee", {}, ""),
    ],
)
def test_sequences_are_told_apart(description: str, tags: dict[str, Any], expected: str) -> None:
    assert mr_sequence(_series("MR", description=description, **tags).header) == expected


def test_the_ordinary_study() -> None:
    found = _assign(
        _series("CT", 2, "CT low dose"),
        _series("PT", 3, "PET AC", CorrectedImage=("DECY", "ATTN")),
        _series("PT", 4, "PET NAC", CorrectedImage=("DECY",)),
        _series("MR", 5, "AX T1"),
        _series("MR", 6, "AX T1 POST GD"),
        _series("MR", 7, "AX T2"),
        _series("MR", 8, "T1 FS"),
        _series("CT", 9, "scout"),
        _series("PT", 10, "PET MIP", ImageType=("DERIVED", "SECONDARY", "MIP"), CorrectedImage=("ATTN",)),
        _series("CT", 11, "perfusion", ImageType=("DERIVED", "PRIMARY", "PERFUSION", "RCBF")),
        _series("CT", 12, "sagittal", ImageType=("DERIVED", "SECONDARY", "REFORMATTED")),
    )
    assert found == {"ct": 2, "pet": 3, "t1": 5}


def test_second_best_is_used_with_a_warning() -> None:
    study = Study("dicom", "", (_series("PT", 1, "NAC"), _series("MR", 2, "AX T1 GD")))
    chosen = cast(study)
    assert set(chosen.series) == {"pet", "t1"}
    assert [w.code for w in chosen.warnings] == ["pet-not-attenuation-corrected", "contrast-agent"]


def test_an_unknown_mr_is_used_only_when_it_is_alone() -> None:
    study = Study("dicom", "", (_series("MR", 1, "knee"),))
    chosen = cast(study)
    assert set(chosen.series) == {"t1"}
    assert [w.code for w in chosen.warnings] == ["sequence-not-recognised"]
    assert _assign(_series("MR", 1, "knee"), _series("MR", 2, "AX T2")) == {}


def test_a_tie_says_how_to_choose_without_identifiers() -> None:
    with pytest.raises(InvalidInputError) as raised:
        _assign(_series("CT", 2, "thin Doe"), _series("CT", 5, "thick Doe"))
    assert raised.value.message == "2 series can equally well be the CT: series 2 (CT), series 5 (CT)."
    assert raised.value.fix == "Name one, for example ct=2."
    with pytest.raises(InvalidInputError, match="SeriesInstanceUID or description"):
        _assign(_series("CT", None, "a"), _series("CT", None, "b"))


def test_a_tie_is_broken_by_the_frame_of_reference_of_the_others() -> None:
    found = _assign(_series("CT", 2, frame="A"), _series("CT", 3, frame="B"), _series("PT", 4, frame="B"))
    assert found == {"ct": 3, "pet": 4}


def test_explicit_assignment() -> None:
    series = (_series("CT", 2, "thin"), _series("CT", 5, "thick"), _series("MR", 6, "AX T2"))
    assert _assign(*series, ct="5") == {"ct": 5}
    assert _assign(*series, ct="THIN") == {"ct": 2}
    assert _assign(*series, ct="uid-CT-5-thick", t1="6") == {"ct": 5, "t1": 6}
    assert _assign(*series, ct="None") == {}
    for wrong, cause in (("9", "No usable series"), ("6", "is MR, not CT")):
        with pytest.raises(InvalidInputError, match=cause) as raised:
            _assign(*series, ct=wrong)
        assert "uid" not in str(raised.value).replace("SeriesInstanceUID", "")
    with pytest.raises(InvalidInputError, match="names 2 series"):
        _assign(_series("CT", 2, "a"), _series("CT", 2, "b"), ct="2")
    with pytest.raises(InvalidInputError, match="no modality"):
        _assign(*series, flair="6")


def test_nifti_goes_by_role_or_file_name() -> None:
    by_role = Study("nifti", "", (_series("", 1, role="pet"), _series("", 2, role="ct")))
    assert {s: c.attributes["SeriesNumber"] for s, c in cast(by_role).series.items()} == {
        "ct": 2,
        "pet": 1,
    }
    by_name = Study("nifti", "", (_series("", 1, "case_01-ct"), _series("", 2, "pet"), _series("", 3, "ct_pet_fused")))
    chosen = cast(by_name)
    assert {s: c.description for s, c in chosen.series.items()} == {"ct": "case_01-ct", "pet": "pet"}
