"""A gateway that is overheard, and studies that sing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from deploy.traces.receiver import Receiver
from service.audit.journal import Position, read_lines
from tests.factories.canaries import SONG, canary_tags, heard, with_private_canaries
from tests.factories.studies import dicom_bytes, dicom_datasets, zipped
from tests.servers.service_process import ServiceProcess

FAST: dict[str, Any] = {"task": "oncology", "num_hypotheses": 2, "num_steps": 2}
TOKEN = "a-token-that-is-long-enough"  # noqa: S105
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
ZIP = {"Content-Type": "application/zip"}
SINGER = f"{SONG}-SINGS"
"""What a caller puts where no patient belongs; it is not to be repeated either."""


@dataclass
class Watched:
    """A gateway, and everything by which it could tell."""

    process: ServiceProcess
    dimse_port: int
    root: Path
    spans: Receiver

    def listen(self) -> dict[str, bytes]:
        """Return what can be overheard, by channel."""
        trail = "\n".join(str(line) for line, _ in read_lines(self.root / "trail", Position()))
        names = [str(path.relative_to(self.root)) for path in self.root.rglob("*")]
        names += [path.name for path in self.process.log_path.parent.rglob("*")]
        return {
            "log": self.process.log_path.read_bytes(),
            "metrics": httpx.get(f"{self.process.url}/metrics", trust_env=False).content,
            "spans": "\n".join(map(str, self.spans.spans())).encode(),
            "trail": trail.encode(),
            "names": "\n".join(names).encode(),
        }

    def assert_silent(self) -> None:
        """Fail when a channel tells of the patient."""
        told = {channel: heard(content) for channel, content in self.listen().items()}
        assert not any(told.values()), told


def singing(slugs: tuple[str, ...] = ("ct", "pet")) -> list[Dataset]:
    """Return a study that can be segmented and in which everything about the patient sings."""
    return with_private_canaries(dicom_datasets(slugs, dict(canary_tags())))


def as_zip(datasets: list[Dataset]) -> bytes:
    return zipped({f"{SINGER}/{i}.dcm": dicom_bytes(ds) for i, ds in enumerate(datasets)})


def damaged() -> list[Dataset]:
    """A study whose pixels end too early."""
    datasets = singing()
    for ds in datasets:
        ds.PixelData = ds.PixelData[:100]
    return datasets


def without_a_role() -> list[Dataset]:
    """A study of which the rules take nothing: localisers."""
    datasets = singing(("ct",))
    for ds in datasets:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return datasets


def far_apart() -> list[Dataset]:
    """A study whose series do not lie over each other."""
    datasets = singing()
    for ds in datasets:
        if ds.Modality == "PT":
            x, y, z = ds.ImagePositionPatient
            ds.ImagePositionPatient = [x, y, z + 5000.0]
    return datasets


def nonsense_values() -> list[Dataset]:
    """A study in which numbers and dates are words about the patient."""
    datasets = singing()
    for ds in datasets:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        for number, keyword in enumerate(("SeriesTime", "AcquisitionTime", "PatientWeight", "ImagePositionPatient")):
            ds.add_new(keyword, "LO", f"{SONG}{number}")
    return datasets
