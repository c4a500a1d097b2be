"""The DICOM objects, read back with pydicom."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import config, dcmread
from pydicom.dataset import Dataset

from entrust.contract import ModelCard
from service.encode import Extra
from service.encode.montage import draw_montage
from service.encode.results import to_source_geometry
from service.study import Case
from service.summary import Provenance
from tests.factories.dicom_cases import answer, encode_case, read_case, summary_of, usual_grids, write_study
from tests.factories.trust_maps import CARD

MAPS = (
    "error_probability.dcm", "conflict.dcm", "attribution_ct.dcm", "attribution_pet.dcm", "attribution_t1.dcm"
)  # fmt: skip
FRAMED = ("segmentation.dcm", "labelmap.dcm", *MAPS)
NAMES = (*FRAMED, "report.dcm", "rtstruct.dcm", "montage.dcm")
SPACELESS = ("report.dcm", "montage.dcm")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, dict[str, list[Dataset]]]:
    folder = tmp_path_factory.mktemp("study")
    datasets = write_study(folder, usual_grids(), shuffle_seed=3)
    return read_case(folder), datasets


@pytest.fixture(scope="module")
def contents(study: tuple[Case, dict[str, list[Dataset]]]) -> dict[str, bytes]:
    return encode_case(study[0], extras=tuple(Extra))


def read(content: bytes) -> Dataset:
    return dcmread(BytesIO(content))


@pytest.mark.parametrize("name", NAMES)
def test_patient_study_and_space_are_those_of_the_source(
    name: str, contents: dict[str, bytes], study: tuple[Case, dict[str, list[Dataset]]]
) -> None:
    result, source = read(contents[name]), study[1]["ct"][0]
    for keyword in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "StudyDate",
        "AccessionNumber", *([] if name in SPACELESS else ["FrameOfReferenceUID"]),
    ):  # fmt: skip
        assert result[keyword].value == source[keyword].value, keyword
    assert result.SeriesInstanceUID not in {ds.SeriesInstanceUID for series in study[1].values() for ds in series}
    assert name not in FRAMED or result.ContentQualification == "RESEARCH"


def test_every_kind_of_object_has_a_series_of_its_own(contents: dict[str, bytes]) -> None:
    assert set(contents) == set(NAMES)
    results = [read(content) for content in contents.values()]
    assert len({ds.SeriesInstanceUID for ds in results}) == len({ds.SOPInstanceUID for ds in results}) == len(NAMES)
    assert len({ds.SeriesNumber for ds in results}) == len(NAMES)


@pytest.mark.parametrize("name", FRAMED)
def test_every_series_is_cited_for_the_object_and_per_frame(
    name: str, contents: dict[str, bytes], study: tuple[Case, dict[str, list[Dataset]]]
) -> None:
    result, (case, datasets) = read(contents[name]), study
    cited = {
        series.SeriesInstanceUID: {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence}
        for series in result.ReferencedSeriesSequence
    }
    assert cited == {s[0].SeriesInstanceUID: {ds.SOPInstanceUID for ds in s} for s in datasets.values()}
    place = {ds.SOPInstanceUID: ds.ImagePositionPatient[2] for s in ("ct", "pet") for ds in datasets[s]}
    kinds = {ds.SOPInstanceUID: slug for slug, series in datasets.items() for ds in series}
    for group in result.PerFrameFunctionalGroupsSequence:
        z = group.PlanePositionSequence[0].ImagePositionPatient[2]
        items = group.DerivationImageSequence[0].SourceImageSequence
        (own,) = (i for i in items if kinds[i.ReferencedSOPInstanceUID] == "ct")
        assert place[own.ReferencedSOPInstanceUID] == pytest.approx(z)
        assert own.SpatialLocationsPreserved == "YES"
        of_pet = [i for i in items if kinds[i.ReferencedSOPInstanceUID] == "pet"]
        assert of_pet
        assert all(abs(place[i.ReferencedSOPInstanceUID] - z) <= 2.5 + 1e-2 for i in of_pet)  # half a PET slice
        assert all(i.SpatialLocationsPreserved == "NO" for i in of_pet)
        assert all(i.PurposeOfReferenceCodeSequence[0].CodeValue == "121322" for i in items)
        assert "t1" not in {kinds[i.ReferencedSOPInstanceUID] for i in items}  # sagittal: it has no image of the plane
    assert len(result.PerFrameFunctionalGroupsSequence) == case.reference.volume.grid.shape[0]


def test_the_segmentation_says_what_it_holds_and_who_made_it(contents: dict[str, bytes]) -> None:
    result = read(contents["segmentation.dcm"])
    (segment,) = result.SegmentSequence
    assert (result.SegmentationType, result.SegmentsOverlap) == ("BINARY", "NO")
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "108369006"
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodingSchemeDesignator == "SCT"
    assert segment.TrackingID == "oncology-gtv"
    assert segment.TrackingUID.startswith("2.25.")
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmVersion == CARD.version
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeMeaning == "Artificial Intelligence"
    for part in ("num_hypotheses=4", "num_steps=3", "seed=7"):
        assert part in algorithm.AlgorithmParameters


def test_the_device_is_named_by_the_digest_of_the_weights(
    contents: dict[str, bytes], study: tuple[Case, dict[str, list[Dataset]]]
) -> None:
    other = encode_case(study[0], card=ModelCard(CARD.task, CARD.version, "cd" * 32))

    def device(content: bytes) -> str:
        equipment = read(content).ContributingEquipmentSequence
        (ours,) = (item for item in equipment if "DeviceUID" in item)
        assert ours.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert any("1.2.3" in version for version in ours.SoftwareVersions)
        return str(ours.DeviceUID)

    assert len({device(content) for content in contents.values()}) == 1
    assert device(other["segmentation.dcm"]) != device(contents["segmentation.dcm"])


def test_a_map_holds_the_very_values_with_an_identity_mapping(
    contents: dict[str, bytes], study: tuple[Case, dict[str, list[Dataset]]]
) -> None:
    case = study[0]
    expected = to_source_geometry(case, answer(case)).error_probability
    result = read(contents["error_probability.dcm"])
    frames = np.frombuffer(result.FloatPixelData, dtype="<f4").reshape(expected.shape)
    z = [group.PlanePositionSequence[0].ImagePositionPatient[2] for group in result.PerFrameFunctionalGroupsSequence]
    stored = frames[np.argsort(z)]  # depth goes to superior on an axial reference
    np.testing.assert_array_equal(stored, expected)
    assert 0.0 <= stored.min() < stored.max() <= 1.0
    shared = result.SharedFunctionalGroupsSequence[0]
    (mapping,) = shared.RealWorldValueMappingSequence
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1.0, 0.0)
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    quantity = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    assert (quantity.CodeValue, quantity.CodingSchemeDesignator) == ("ERRPROB", "99ENTRUST")
    assert result.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99ENTRUST"
    transformation = shared.PixelValueTransformationSequence[0]
    assert (transformation.RescaleSlope, transformation.RescaleIntercept) == (1, 0)


def test_the_same_input_gives_the_same_names_and_pixels(
    contents: dict[str, bytes], study: tuple[Case, dict[str, list[Dataset]]]
) -> None:
    def facts(content: bytes) -> Dataset:
        ds = read(content)
        ds.walk(lambda item, element: item.pop(element.tag) if element.VR in ("DA", "TM", "DT") else None)
        return ds  # when it was made, and nothing else, may differ

    again = encode_case(study[0], extras=tuple(Extra))
    assert {name: facts(c) for name, c in again.items()} == {name: facts(c) for name, c in contents.items()}
    other_seed = encode_case(study[0], provenance=Provenance(8, 4, 3, "ddim"))
    for name in other_seed:
        assert read(other_seed[name]).SOPInstanceUID != read(contents[name]).SOPInstanceUID


def test_what_else_is_asked_for_changes_no_other_result(
    contents: dict[str, bytes], study: tuple[Case, dict[str, list[Dataset]]]
) -> None:
    usual = encode_case(study[0])
    assert set(usual) == {"segmentation.dcm", "error_probability.dcm", "conflict.dcm", "report.dcm"}
    for name, content in usual.items():
        assert read(content).SOPInstanceUID == read(contents[name]).SOPInstanceUID
    report, other = read(usual["report.dcm"]), read(contents["report.dcm"])
    assert report.ContentSequence == other.ContentSequence
    assert report.CurrentRequestedProcedureEvidenceSequence == other.CurrentRequestedProcedureEvidenceSequence


def test_the_label_map_holds_the_same_mask_and_structures(
    contents: dict[str, bytes], study: tuple[Case, dict[str, list[Dataset]]]
) -> None:
    binary, labels = read(contents["segmentation.dcm"]), read(contents["labelmap.dcm"])
    assert labels.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert labels.SegmentationType == "LABELMAP"
    np.testing.assert_array_equal(labels.pixel_array == 1, binary.pixel_array == 1)
    assert binary.pixel_array.any()
    (segment,) = (s for s in labels.SegmentSequence if s.SegmentNumber == 1)
    assert segment.TrackingUID == binary.SegmentSequence[0].TrackingUID


@pytest.mark.parametrize(("slug", "code"), [("ct", "ATTR_CT"), ("pet", "ATTR_PET"), ("t1", "ATTR_T1")])
def test_an_attribution_map_holds_the_shift_of_its_modality(
    slug: str, code: str, contents: dict[str, bytes], study: tuple[Case, dict[str, list[Dataset]]]
) -> None:
    case = study[0]
    expected = to_source_geometry(case, answer(case)).attribution[slug]
    result = read(contents[f"attribution_{slug}.dcm"])
    frames = np.frombuffer(result.FloatPixelData, dtype="<f4").reshape(expected.shape)
    z = [group.PlanePositionSequence[0].ImagePositionPatient[2] for group in result.PerFrameFunctionalGroupsSequence]
    np.testing.assert_array_equal(frames[np.argsort(z)], expected)
    assert expected.max() > 0
    mapping = result.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == code
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == pytest.approx(np.log(2.0))


def test_the_captured_picture_is_the_montage_and_names_nobody(
    contents: dict[str, bytes], study: tuple[Case, dict[str, list[Dataset]]]
) -> None:
    case = study[0]
    trust_map = answer(case)
    with Image.open(BytesIO(draw_montage(case, trust_map, summary_of(case, trust_map)))) as picture:
        expected = np.asarray(picture.convert("RGB"))
    result = read(contents["montage.dcm"])
    np.testing.assert_array_equal(result.pixel_array, expected)
    assert (result.Modality, result.BurnedInAnnotation) == ("OT", "NO")


def test_odd_headers_are_copied_where_they_must_be_and_cleaned_where_not(tmp_path: Path) -> None:
    datasets = write_study(tmp_path, {"ct": usual_grids()["ct"]})["ct"]
    with config.disable_value_validation():  # a sloppy sender
        for path in sorted(tmp_path.rglob("*.dcm")):
            ds = dcmread(path)
            ds.SpecificCharacterSet = "ISO_IR 192"
            ds.PatientName, ds.PatientID, ds.PatientSex = "Müller-Lüdenscheidt", "X" * 70, "x"
            ds.StudyID = "longer than sixteen characters"
            del ds.AccessionNumber
            ds.save_as(path)
    content = encode_case(read_case(tmp_path))["segmentation.dcm"]
    with config.disable_value_validation():
        result = read(content)
        assert result.PatientID == "X" * 70
        assert str(result.PatientName) == "Müller-Lüdenscheidt"
        assert (result.StudyID, result.PatientSex, result.AccessionNumber) == ("", "", "")
        assert result.StudyInstanceUID == datasets[0].StudyInstanceUID


def test_a_series_of_another_study_is_cited_as_such(tmp_path: Path) -> None:
    write_study(tmp_path, {slug: grid for slug, grid in usual_grids().items() if slug != "t1"})
    for path in (tmp_path / "pet").rglob("*.dcm"):
        ds = dcmread(path)
        ds.StudyInstanceUID = "2.25.4242"
        ds.save_as(path)
    case = read_case(tmp_path)
    result = read(encode_case(case)["segmentation.dcm"])
    assert len(result.ReferencedSeriesSequence) == 1
    (other,) = result.StudiesContainingOtherReferencedInstancesSequence
    assert other.StudyInstanceUID == "2.25.4242"
    assert other.ReferencedSeriesSequence[0].SeriesInstanceUID == case.used["pet"].uid
