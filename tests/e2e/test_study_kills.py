"""Kill -9 of a gateway over studies: none is lost, none is done twice, and the results are the same."""

from pathlib import Path

import pytest

from loadtests.studies import write_small_archive
from loadtests.study_kills import copies, measure
from service.triton.embedded import EmbeddedTriton

STEPS = ("receive", "select", "infer", "encode", "keep")
AIMS = [f"{where} {step}" for step in STEPS for where in ("in", "behind")][:-1]
"""Behind the last step a study is not in work any more."""


@pytest.mark.timeout(1800)
def test_no_study_is_lost_or_done_twice_wherever_it_stands_at_the_kill(triton: EmbeddedTriton, tmp_path: Path) -> None:
    studies = copies(write_small_archive(tmp_path / "sent"), len(AIMS))
    report = measure(tmp_path, studies, len(AIMS), triton_url=triton.url, aims=AIMS)
    assert (report.lost, report.duplicated, report.different) == (0, 0, 0), report
    assert {"in infer", "in encode"} <= report.moments.keys(), report  # the long ones; short ones may pass unseen
    assert len(report.moments) >= 4, report
