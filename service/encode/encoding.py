"""From a trust map to the files of a result."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from entrust.contract import ModelCard
from entrust.trustmap import TrustMap
from service.encode.check import check_result
from service.encode.identity import Identity
from service.encode.montage import draw_montage
from service.encode.nifti import encode_nifti, encode_nifti_channels
from service.encode.objects import Origin
from service.encode.parametric_map import CONFLICT, ERROR_PROBABILITY, encode_parametric_map
from service.encode.results import Results, to_source_geometry
from service.encode.segmentation import encode_segmentation
from service.study import Case
from service.summary import Provenance, Summary

DICOM, NIFTI, PNG, JSON = "application/dicom", "application/gzip", "image/png", "application/json"


@dataclass(frozen=True)
class ResultFile:
    """One file of a result.

    Attributes:
        name: File name, the same for every study.
        media_type: IANA media type.
        content: The bytes.
    """

    name: str
    media_type: str
    content: bytes = field(repr=False)


def encode(
    case: Case, trust_map: TrustMap, summary: Summary, card: ModelCard, provenance: Provenance
) -> tuple[ResultFile, ...]:
    """Write a result in the geometry of the case's reference series.

    DICOM objects are made where the reference came as DICOM. Same input, weights and parameters give the same UIDs
    and the same pixel data.

    Args:
        case: The prepared study.
        trust_map: The answer, on the case's grid.
        summary: The answer in words and numbers.
        card: The weights.
        provenance: How they were run.

    Raises:
        InternalError: A DICOM result does not agree with its sources.
    """
    results = to_source_geometry(case, trust_map)
    files = []
    if case.reference.datasets:
        contents = encode_dicom(case, results, Identity.of(case, card, provenance))
        files += [ResultFile(name, DICOM, content) for name, content in contents.items()]
    files += _nifti(results)
    files.append(ResultFile("montage.png", PNG, draw_montage(case, trust_map, summary)))
    files.append(ResultFile("summary.json", JSON, summary.to_json()))
    return tuple(files)


def encode_dicom(case: Case, results: Results, identity: Identity) -> dict[str, bytes]:
    """Return the DICOM objects of a result by file name, each compared with its sources.

    Raises:
        InternalError: One does not agree with its sources.
    """
    origin = Origin.of(case, identity)
    contents = {
        "segmentation.dcm": encode_segmentation(case.task, results, origin),
        "error_probability.dcm": encode_parametric_map(ERROR_PROBABILITY, results.error_probability, origin),
        "conflict.dcm": encode_parametric_map(CONFLICT, results.conflict, origin),
    }
    for content in contents.values():
        check_result(content, origin)
    return contents


def _nifti(results: Results) -> Iterator[ResultFile]:
    grid = results.grid
    yield ResultFile("mask.nii.gz", NIFTI, encode_nifti(results.label_map, grid))
    yield ResultFile("probability.nii.gz", NIFTI, encode_nifti_channels(results.probability, grid))
    yield ResultFile("error_probability.nii.gz", NIFTI, encode_nifti(results.error_probability, grid))
    yield ResultFile("conflict.nii.gz", NIFTI, encode_nifti(results.conflict, grid))
    for slug, shift in results.attribution.items():
        yield ResultFile(f"attribution_{slug}.nii.gz", NIFTI, encode_nifti(shift, grid))
