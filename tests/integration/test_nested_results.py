"""Results with nested structures seen by programs that are not ours."""

from pathlib import Path

import numpy as np
import pytest

from entrust.contract import BRAIN
from entrust.structures import structure_mask
from service.encode import Extra
from tests.factories.dicom_cases import encode_case
from tests.factories.nested_cases import brain_case, nested_answer
from tests.validators.programs import NotInstalledError, entity_errors, object_errors, read_mask


def test_nobody_finds_a_fault_and_each_structure_is_read_whole(tmp_path: Path) -> None:
    case = brain_case(tmp_path / "study")
    answer = nested_answer(case)
    extras = [extra for extra in Extra if extra is not Extra.LABELMAP]
    made = []
    for name, content in encode_case(case, answer, extras=extras).items():
        made.append(tmp_path / name)
        made[-1].write_bytes(content)
    try:
        assert {path.name: object_errors(path) for path in made} == {path.name: [] for path in made}
        assert entity_errors([*(tmp_path / "study").rglob("*.dcm"), *made]) == []
        for label in BRAIN.labels:
            read = read_mask(tmp_path / "segmentation.dcm", label.value, case.grid, tmp_path / label.slug)
            assert np.array_equal(read, structure_mask(BRAIN, answer.label_map, label)), label.slug
    except NotInstalledError as error:
        pytest.skip(str(error))
