"""The committed schema is what the code says, the shipped rules fit it, and the loop guard knows real results."""

import io
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydicom import dcmread

from entrust.contract import TASKS
from service.encode import encode
from service.encode.identity import MANUFACTURER, PRODUCT
from service.ingest import inspect_study
from service.selection import default_rules, guard, select
from service.selection.loading import default_text
from service.selection.schema import schema
from tests.factories.dicom_cases import answer, read_case, summary_of, usual_grids, write_study
from tests.factories.rules_files import BOTH_TASKS
from tests.factories.trust_maps import CARD, PROVENANCE

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "service" / "selection" / "rules.schema.json"


def test_the_schema_is_current() -> None:
    assert SCHEMA.read_text() == schema(), "run `make rules-schema`"


@pytest.mark.parametrize("text", [default_text(), BOTH_TASKS])
def test_rules_that_are_read_fit_the_schema(text: str) -> None:
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(yaml.safe_load(text))


def test_the_schema_refuses_what_is_refused() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    validator.check_schema(json.loads(SCHEMA.read_text()))
    for wrong in ("version: 2\ntasks: []", BOTH_TASKS.replace("any_of", "one_of"), BOTH_TASKS + "excludes: []\n"):
        assert not validator.is_valid(yaml.safe_load(wrong))


def test_the_loop_guard_knows_the_results_of_this_program(tmp_path: Path) -> None:
    assert (guard.MANUFACTURER, guard.PRODUCT) == (MANUFACTURER, PRODUCT)
    write_study(tmp_path / "study", usual_grids())
    case = read_case(tmp_path / "study")
    trust_map = answer(case)
    files = encode(case, trust_map, summary_of(case, trust_map), CARD, PROVENANCE)
    made = [file for file in files if file.name.endswith(".dcm")]
    for file in made:
        dcmread(io.BytesIO(file.content)).save_as(tmp_path / "study" / file.name)
    assert made
    series = inspect_study(tmp_path / "study")
    found = select(series, default_rules(), TASKS)
    assert set(found.chosen) == {"ct", "pet", "t1"}
    assert len(found.excluded) == len({one.uid for one in series}) - 3 >= 1
    assert {series[i].uid for i in found.excluded} == {dcmread(io.BytesIO(f.content)).SeriesInstanceUID for f in made}
