"""The numbers and words of a result as a DICOM report: Comprehensive 3D SR after TID 1500, one group per segment.

It says what ``summary.json`` says of the segments, and cites only what every result holds, so that it does not depend
on what else was asked for.

Source: PS3.16 TID 1500, 1411, 300, 1004, 4019; IHE RAD TF-3 6.5.3.
"""

from collections.abc import Mapping

from highdicom import sr
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from entrust.contract import Label, Task
from service.encode import codes as private
from service.encode.evidence import evidence_of
from service.encode.identity import MANUFACTURER, PRODUCT, Identity
from service.encode.objects import Origin, instance_arguments, sign
from service.encode.segmentation import tracking_id
from service.encode.sources import quiet
from service.summary import ErrorProbability, SegmentInfo, Summary

KIND = "report"
SERIES_NUMBER = 9004
MM3_PER_ML = 1000.0
MIN_CAUSE_SHARE = 0.05
"""Causes that apply to a smaller share of the uncertain volume are left to ``summary.json``."""

_PROCEDURES: Mapping[str, Code] = {
    "CT": codes.cid100.CTUnspecifiedBodyRegion,
    "MR": codes.cid100.MRIUnspecifiedBodyRegion,
    "PT": codes.cid100.PETUnspecifiedBodyRegion,
}
"""Imaging procedure by DICOM modality (CID 100)."""

_RELIABILITY: Mapping[str, Code] = {
    "high": Code("75540009", "SCT", "High"),
    "moderate": Code("6736007", "SCT", "Moderate"),
    "low": Code("62482003", "SCT", "Low"),
}
_PERCENTILE_95 = Code("371889001", "SCT", "95th percentile")


def encode_report(
    task: Task, summary: Summary, origin: Origin, segmentation: Dataset, error_probability: Dataset, conflict: Dataset
) -> bytes:
    """Return the report as a DICOM file.

    Args:
        task: Gives the labels and the names of the modalities.
        summary: What it says.
        origin: Where it comes from.
        segmentation: The binary segmentation it refers to.
        error_probability: The map from which the error probabilities were taken.
        conflict: The map of contradictions, cited as evidence.
    """
    results = (segmentation, error_probability, conflict)
    by_label = {found.label: found for found in summary.segments}
    arguments = instance_arguments(origin, KIND, SERIES_NUMBER, f"{PRODUCT}: {task.name} report (research)")
    with quiet():
        report = sr.MeasurementReport(
            observation_context=sr.ObservationContext(observer_device_context=_observer(origin.identity)),
            procedure_reported=_procedure(summary),
            imaging_measurements=[
                _group(task, label, by_label[label.value], summary, origin, segmentation, error_probability)
                for label in task.labels
            ],
        )
        ds = sr.Comprehensive3DSR(
            evidence=evidence_of(origin, results),
            content=report,
            is_complete=True,
            coding_schemes=[private.scheme()],
            **arguments,
        )
        ds.walk(_separate)
        return sign(ds, origin, without=("FrameOfReferenceUID",))


def _separate(parent: Dataset, element: DataElement) -> None:
    """Make every container a list: of running text, readers show the values without their names."""
    if element.keyword == "ContinuityOfContent":
        parent[element.tag].value = "SEPARATE"


def _observer(identity: Identity) -> sr.ObserverContext:
    """Return the device that observed: the model with its weights (TID 1004)."""
    return sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=identity.device_uid,
            name=f"EnTrust {identity.card.task}",
            manufacturer_name=MANUFACTURER,
            model_name=PRODUCT,
            serial_number=identity.card.digest[:16],
        ),
    )


def _procedure(summary: Summary) -> Code:
    """Return the imaging procedure that is reported on; the template holds one, so several make the general one."""
    dicom_modalities = {m.dicom_modality for m in summary.modalities}
    only = dicom_modalities.pop() if len(dicom_modalities) == 1 else ""
    return _PROCEDURES.get(only, codes.cid100.ImagingProcedure)


def _group(
    task: Task,
    label: Label,
    found: SegmentInfo,
    summary: Summary,
    origin: Origin,
    segmentation: Dataset,
    error_probability: Dataset,
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Return what is said of one segment (TID 1411)."""
    identity = origin.identity
    measurements = _volume(found)
    if found.error_probability is not None:
        measurements += _errors(found.error_probability, error_probability)
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=identity.uid("tracking", label.slug), identifier=tracking_id(task, label)
        ),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=label.value,
            source_series=sr.SourceSeriesForSegmentation(origin.sources[0].series_uid),
        ),
        finding_category=private.coded(label.property_category),
        finding_type=private.coded(label.property_type),
        finding_sites=[sr.FindingSite(private.coded(task.anatomic_region))] if task.anatomic_region else None,
        algorithm_id=sr.AlgorithmIdentification(
            name=f"EnTrust {task.name}",
            version=identity.card.version,
            family=codes.cid7162.ArtificialIntelligence,
            manufacturer=MANUFACTURER,
            parameters=[f"{name}={value}" for name, value in identity.parameters.items()],
        ),
        measurements=measurements,
        qualitative_evaluations=_evaluations(task, found, summary),
    )


def _volume(found: SegmentInfo) -> list[sr.Measurement]:
    """Return the volume and its interval, as numbers under names of their own."""
    interval = found.volume_interval_ml
    volumes = [
        sr.Measurement(name=name, value=_mm3(value_ml), unit=codes.UCUM.CubicMillimeter, method=private.MODEL_GRID)
        for name, value_ml in (
            (codes.SCT.Volume, found.volume_ml),
            (private.VOLUME_LOW, interval.low),
            (private.VOLUME_HIGH, interval.high),
        )
    ]
    return [*volumes, sr.Measurement(name=private.INTERVAL_LEVEL, value=interval.level, unit=codes.UCUM.NoUnits)]


def _mm3(volume_ml: float) -> float:
    return round(volume_ml * MM3_PER_ML, 1)


def _errors(error: ErrorProbability, source: Dataset) -> list[sr.Measurement]:
    """Return mean and 95th percentile of the error probability around a segment, with the map they come from."""
    image = sr.SourceImageForMeasurement(source.SOPClassUID, source.SOPInstanceUID)
    return [
        sr.Measurement(
            name=private.ERROR_PROBABILITY,
            value=value,
            unit=codes.UCUM.NoUnits,
            derivation=derivation,
            referenced_images=[image],
        )
        for derivation, value in ((codes.cid7464.Mean, error.mean), (_PERCENTILE_95, error.p95))
    ]


def _evaluations(task: Task, found: SegmentInfo, summary: Summary) -> list[sr.QualitativeEvaluation]:
    """Return how far the segment can be relied on, why not further, and where doubt comes from, largest share first."""
    pairs = [(private.RELIABILITY, _RELIABILITY[found.reliability])]
    pairs += [(private.REASON, private.reason(slug)) for slug in found.reasons]
    pairs += [(private.CAUSE, code) for code in _causes(task, summary)]
    pairs += [(private.MISSING, private.modality(slug, task.modality(slug).title)) for slug in summary.missing]
    pairs += [
        (private.REGISTERED, private.modality(used.slug, used.title))
        for used in summary.modalities
        if used.registration is not None
    ]
    return [sr.QualitativeEvaluation(name=name, value=value) for name, value in pairs]


def _causes(task: Task, summary: Summary) -> list[Code]:
    """Return the causes that apply to the uncertain regions, by their share of the regions' volume."""
    shares: dict[Code, float] = {}
    regions = summary.uncertain.regions
    total_ml = sum(region.volume_ml for region in regions)
    for region in regions:
        for cause in region.causes:
            code = private.cause(cause.cause, cause.modalities, [task.modality(m).title for m in cause.modalities])
            shares[code] = shares.get(code, 0.0) + cause.share * region.volume_ml / total_ml
    ordered = sorted(shares.items(), key=lambda item: -item[1])  # stable: ties keep the order of the regions
    return [code for code, share in ordered if share >= MIN_CAUSE_SHARE]
