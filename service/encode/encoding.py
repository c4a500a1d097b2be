"""From a trust map to the files of a result."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from entrust.contract import ModelCard
from entrust.trustmap import TrustMap
from service.encode.capture import encode_capture
from service.encode.checks import check_results, read_header
from service.encode.identity import Identity
from service.encode.montage import draw_montage
from service.encode.nifti import encode_nifti, encode_nifti_channels
from service.encode.objects import Origin
from service.encode.parametric_map import CONFLICT, ERROR_PROBABILITY, attribution, encode_parametric_map
from service.encode.report import encode_report
from service.encode.results import Results, to_source_geometry
from service.encode.segmentation import encode_segmentation
from service.encode.structures import encode_structures
from service.extra_results import Extra
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
    case: Case,
    trust_map: TrustMap,
    summary: Summary,
    card: ModelCard,
    provenance: Provenance,
    extras: Collection[Extra] = (),
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
        extras: DICOM results to make beyond the usual ones.

    Raises:
        InternalError: A DICOM result does not agree with its sources.
    """
    results = to_source_geometry(case, trust_map)
    montage = draw_montage(case, trust_map, summary)
    files = []
    if case.reference.datasets:
        contents = encode_dicom(case, results, summary, Identity.of(case, card, provenance), montage, extras)
        files += [ResultFile(name, DICOM, content) for name, content in contents.items()]
    files += _nifti(results)
    files.append(ResultFile("montage.png", PNG, montage))
    files.append(ResultFile("summary.json", JSON, summary.to_json()))
    return tuple(files)


def encode_objects(
    case: Case, trust_map: TrustMap, summary: Summary, card: ModelCard, provenance: Provenance
) -> dict[str, bytes]:
    """Write the DICOM results that are always made, and nothing else: no picture is drawn, no NIfTI compressed.

    Args:
        case: The prepared study; its reference came as DICOM.
        trust_map: The answer, on the case's grid.
        summary: The answer in words and numbers.
        card: The weights.
        provenance: How they were run.

    Returns:
        The objects by file name, as :func:`encode` makes them.

    Raises:
        InternalError: A DICOM result does not agree with its sources.
    """
    return encode_dicom(case, to_source_geometry(case, trust_map), summary, Identity.of(case, card, provenance))


def encode_dicom(
    case: Case,
    results: Results,
    summary: Summary,
    identity: Identity,
    montage: bytes = b"",
    extras: Collection[Extra] = (),
) -> dict[str, bytes]:
    """Return the DICOM objects of a result by file name, compared with their sources and with each other.

    Args:
        case: The prepared study.
        results: The answer on the grid of the reference series.
        summary: The answer in words and numbers.
        identity: Decides all UIDs.
        montage: The picture as PNG; needed for a secondary capture alone.
        extras: What is asked for beyond the results that are always made.

    Raises:
        InternalError: One does not agree with its sources, or with another.
    """
    origin, task = Origin.of(case, identity), case.task
    contents = {
        "segmentation.dcm": encode_segmentation(task, results, origin),
        "error_probability.dcm": encode_parametric_map(ERROR_PROBABILITY, results.error_probability, origin),
        "conflict.dcm": encode_parametric_map(CONFLICT, results.conflict, origin),
    }
    contents["report.dcm"] = encode_report(task, summary, origin, *map(read_header, contents.values()))
    if Extra.LABELMAP in extras:
        contents["labelmap.dcm"] = encode_segmentation(task, results, origin, "LABELMAP")
    if Extra.ATTRIBUTION in extras:
        for number, modality in enumerate(task.modalities):
            if modality.slug in results.attribution:
                quantity = attribution(number, modality)
                content = encode_parametric_map(quantity, results.attribution[modality.slug], origin)
                contents[f"{quantity.kind}.dcm"] = content
    if Extra.STRUCTURES in extras:
        contents["rtstruct.dcm"] = encode_structures(task, results, origin)
    if Extra.CAPTURE in extras:
        contents["montage.dcm"] = encode_capture(task, montage, origin)
    check_results(contents, origin)
    return contents


def _nifti(results: Results) -> Iterator[ResultFile]:
    grid = results.grid
    yield ResultFile("mask.nii.gz", NIFTI, encode_nifti(results.label_map, grid))
    yield ResultFile("probability.nii.gz", NIFTI, encode_nifti_channels(results.probability, grid))
    yield ResultFile("error_probability.nii.gz", NIFTI, encode_nifti(results.error_probability, grid))
    yield ResultFile("conflict.nii.gz", NIFTI, encode_nifti(results.conflict, grid))
    for slug, shift in results.attribution.items():
        yield ResultFile(f"attribution_{slug}.nii.gz", NIFTI, encode_nifti(shift, grid))
