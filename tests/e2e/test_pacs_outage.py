"""The measurement of an outage itself, in seconds: what it counts is there, once, and nobody storms."""

import shutil
from pathlib import Path

import pytest

from deploy.orthanc.server import PLUGIN
from loadtests.pacs_outage import measure
from loadtests.studies import write_small_archive
from loadtests.study_kills import copies
from service.triton.embedded import EmbeddedTriton


@pytest.mark.timeout(1800)
def test_a_pacs_that_was_away_has_everything_once(triton: EmbeddedTriton, tmp_path: Path) -> None:
    if shutil.which("Orthanc") is None or not PLUGIN.exists():
        pytest.skip("not installed: Orthanc and its DICOMweb plugin (apt-get install orthanc orthanc-dicomweb)")
    studies = copies(write_small_archive(tmp_path / "sent"), 3)
    found = measure(
        "dicomweb", tmp_path, studies, 2.0, triton_url=triton.url,
        ENTRUST_DELIVERY__RETRY_SECONDS="0.2", ENTRUST_DELIVERY__TARGETS__PACS__REST_SECONDS="1",
    )  # fmt: skip
    assert found.passed, found
    assert (found.studies, found.results) == (3, 12)
    assert found.confirmed_before < 3
    assert found.tried >= 1, "somebody looked whether it is back"
    assert found.held_back >= 1, "and others did not"
