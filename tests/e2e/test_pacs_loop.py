"""The loop with a real PACS, from storescu to QIDO-RS, by both protocols."""

import shutil
from pathlib import Path

import pytest

from deploy.orthanc.loop import WANTED, Way, open_site, run_loop
from deploy.orthanc.server import PLUGIN
from service.triton.embedded import EmbeddedTriton
from tests.factories.studies import dicom_bytes, dicom_datasets

FAST = {"ENTRUST_STUDIES__NUM_HYPOTHESES": "2", "ENTRUST_STUDIES__NUM_STEPS": "1"}


@pytest.mark.timeout(1200)  # two servers are started for each
@pytest.mark.parametrize("way", ["dimse", "dicomweb"])
async def test_results_come_back_to_the_pacs(way: Way, triton: EmbeddedTriton, tmp_path: Path) -> None:
    if shutil.which("Orthanc") is None or not PLUGIN.exists() or shutil.which("storescu") is None:
        pytest.skip("not installed: Orthanc, its DICOMweb plugin, storescu (apt-get install orthanc-dicomweb dcmtk)")
    images = tmp_path / "images"
    images.mkdir()
    for number, ds in enumerate(dicom_datasets()):
        (images / f"{number}.dcm").write_bytes(dicom_bytes(ds))
    with open_site(way, tmp_path, FAST | {"ENTRUST_TRITON__URL": triton.url}) as site:
        assert run_loop(site, images) == WANTED
