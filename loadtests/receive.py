"""How fast the storage SCP receives a study, beside Orthanc on the same machine: ``python -m loadtests.receive``.

Both receive the same files from the same sender (dcmtk's storescu), turn by turn; the ratio of their rates is what to
look at. Each run's instances are new: a receiver that knows an instance already would do less.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from deploy.orthanc.server import AE_TITLE, running_orthanc
from deploy.prometheus.server import binary
from service.app import open_archive, open_dimse
from service.observability.logs import configure_logging
from service.settings import Settings
from service.startup import make_metrics

READY_SECONDS = 60.0


def write_study(folder: Path, slices: int, size: int) -> int:
    """Write one MR series of noise; return its size in bytes."""
    rng = np.random.default_rng(0)
    study, series = generate_uid(), generate_uid()
    total = 0
    for number in range(1, slices + 1):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, generate_uid()
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = study, series, "MR"
        ds.PatientName, ds.PatientID, ds.StudyDate, ds.StudyTime = "Load^Test", "LOAD", "20300101", "120000"
        ds.SeriesNumber, ds.InstanceNumber = 1, number
        ds.Rows = ds.Columns = size
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        ds.PixelData = rng.integers(0, 4096, (size, size), np.uint16).tobytes()
        path = folder / f"{number:04d}.dcm"
        ds.save_as(path, enforce_file_format=True)
        total += path.stat().st_size
    return total


def send(folder: Path, port: int, called: str) -> float:
    """Send a folder with storescu; return how long it took in seconds."""
    command = [binary("storescu"), "+sd", "-aet", "LOAD", "-aec", called, "--max-pdu", "131072"]
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603  (our own command line)
        [*command, "127.0.0.1", str(port), str(folder)],
        env=os.environ | {"TCP_NODELAY": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    return time.perf_counter() - started


def serve(folder: Path) -> None:
    """Serve DIMSE alone until standard input ends; print the port first."""
    dimse = {"enabled": True, "port": 0}
    settings = Settings.model_validate({"archive": {"folder": folder, "max_used_ratio": 1.0}, "dimse": dimse})
    metrics = make_metrics()
    configure_logging(level="error", form="json", on_drop=metrics.log_dropped)
    with open_archive(settings, metrics) as archive, open_dimse(settings, metrics, archive, None) as port:
        print(port, flush=True)
        sys.stdin.read()


@contextmanager
def running_scp(folder: Path) -> Iterator[int]:
    """Run :func:`serve` in a process of its own and give its port."""
    command = [sys.executable, "-m", "loadtests.receive", "--serve", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            yield int(process.stdout.readline()) if process.stdout else 0
        finally:
            if process.stdin:
                process.stdin.close()
            process.wait(READY_SECONDS)


def main() -> None:
    """Compare, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=620, help="instances in the study")
    parser.add_argument("--size", type=int, default=240, help="rows and columns")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for part in ("entrust", "orthanc"):
            (root / part).mkdir()
        seconds: dict[str, list[float]] = {"entrust": [], "orthanc": []}
        with running_scp(root / "entrust") as port, running_orthanc(root / "orthanc") as orthanc:
            for run in range(arguments.runs):
                study = root / f"study{run}"
                study.mkdir()
                size_bytes = write_study(study, arguments.slices, arguments.size)
                receivers = [("entrust", port, "ENTRUST"), ("orthanc", orthanc.dicom_port, AE_TITLE)]
                for receiver, receiver_port, called in receivers if run % 2 else receivers[::-1]:
                    seconds[receiver].append(send(study, receiver_port, called))
    median = {receiver: statistics.median(times) for receiver, times in seconds.items()}
    print(
        json.dumps(
            {
                "slices": arguments.slices,
                "size_bytes": size_bytes,
                "seconds": {receiver: [round(t, 3) for t in times] for receiver, times in seconds.items()},
                "instances_per_second": {r: round(arguments.slices / t, 1) for r, t in median.items()},
                "rate_ratio": round(median["orthanc"] / median["entrust"], 3),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
