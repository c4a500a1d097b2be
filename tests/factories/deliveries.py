"""A set of results as files, the images it was made from, and couriers to targets of a test's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.orthanc.server import Orthanc
from service.delivery import InstanceRef
from service.delivery.courier import Courier
from service.delivery.outcomes import Outcomes
from service.delivery.reports import CommitmentReports
from service.dispatch import make_courier
from service.ingest import IngestLimits
from service.observability.metrics import Metrics
from service.settings import Settings
from service.startup import make_metrics
from tests.factories.dicom_cases import encode_case, read_case, usual_grids, write_study


@dataclass(frozen=True)
class Parcel:
    """What is to be delivered."""

    images: Path
    results: tuple[Path, ...]

    @property
    def refs(self) -> list[InstanceRef]:
        return [InstanceRef.of(path) for path in self.results]

    @property
    def study_uid(self) -> str:
        return self.refs[0].study_uid


def write_parcel(folder: Path, tags: Mapping[str, str | None] | None = None) -> Parcel:
    """Write a study and its results."""
    images, results = folder / "images", folder / "results"
    write_study(images, usual_grids(), tags=tags)
    results.mkdir()
    paths = []
    for name, content in encode_case(read_case(images)).items():
        paths.append(results / name)
        paths[-1].write_bytes(content)
    return Parcel(images, tuple(paths))


class Round:
    """A courier, and what it told."""

    def __init__(self, parcel: Parcel, folder: Path, targets: Mapping[str, Any]) -> None:
        self.metrics: Metrics = make_metrics()
        self.said: list[tuple[str, str, Outcomes]] = []
        files = sorted(path for path in parcel.images.rglob("*") if path.is_file())
        self.reports = CommitmentReports(folder / "commitments")
        self.courier: Courier = make_courier(
            Settings.model_validate({"delivery": {"targets": targets}}),
            self.metrics,
            lambda _study_uid, _series_uid: files,
            self.reports,
            IngestLimits(),
            lambda *told: self.said.append(told),
        )

    def verdicts(self, stage: str = "deliver") -> list[list[str]]:
        """What became of the instances, by attempt."""
        return [sorted(str(one.verdict) for one in told.values()) for _, of, told in self.said if of == stage]

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def stow(orthanc: Orthanc, **more: Any) -> dict[str, Any]:
    """Return the settings of an Orthanc as a target by DICOMweb."""
    return {"kind": "stow", "url": f"{orthanc.url}/dicom-web", "timeout_seconds": 60.0, **more}


def dimse(orthanc: Orthanc, **more: Any) -> dict[str, Any]:
    """Return the settings of an Orthanc as a target by DIMSE."""
    where = {"host": "127.0.0.1", "port": orthanc.dicom_port, "ae_title": "PACS"}
    return {"kind": "dimse", **where, "timeout_seconds": 60.0, **more}
