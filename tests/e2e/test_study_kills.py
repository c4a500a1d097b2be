"""Kill -9 of a gateway over studies: none is lost, none is done twice, and the results are the same."""

from pathlib import Path

import pytest

from loadtests.studies import write_archives
from loadtests.study_kills import copies, measure
from service.triton.embedded import EmbeddedTriton


@pytest.mark.timeout(600)
def test_no_study_is_lost_or_done_twice(triton: EmbeddedTriton, tmp_path: Path) -> None:
    studies = copies(write_archives(tmp_path / "sent")["small"], 5)
    report = measure(tmp_path, studies, 8, triton_url=triton.url)
    assert (report.lost, report.duplicated, report.different) == (0, 0, 0), report
    assert any(moment != "no study in work" for moment in report.moments), "no kill interrupted anything"
