"""The documents of the method name what exists, and all of it."""

import re
from pathlib import Path

import entrust.metrics

ROOT = Path(__file__).resolve().parents[2]
METHOD = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
METRICS = (ROOT / "docs" / "metrics-science.md").read_text(encoding="utf-8")
BUILDING_BLOCKS = {"Estimate", "Reliability", "reliability", "iou_distances", "blob_fractions"}


def test_every_path_that_the_documents_name_exists() -> None:
    paths = re.findall(r"`((?:entrust|training|tests|docs)/[\w/.-]+)`", METHOD + METRICS)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_symbol_of_the_method_is_a_name_in_its_files() -> None:
    table = METHOD.split("## Symbols")[1].split("\n## ")[0]
    checked = 0
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) != 4 or not re.search(r"`.*\.py`", cells[2]):
            continue
        files = [Path(name).name for name in re.findall(r"`([\w/.]+\.py)`", cells[2])]
        source = "".join(path.read_text("utf-8") for name in files for path in (ROOT / "entrust").rglob(name))
        for name in re.findall(r"`(\w+)[^`]*`", cells[1]):
            assert re.search(rf"\b{name}\b", source), f"{name} is not in {cells[2]}"
            checked += 1
    assert checked > 40


def test_every_metric_is_defined_and_every_definition_is_a_metric() -> None:
    defined = set(re.findall(r"^\| `(\w+)`", METRICS, flags=re.MULTILINE))
    in_text = set(re.findall(r"`(\w+)`", METRICS))
    public = set(entrust.metrics.__all__)
    assert public - BUILDING_BLOCKS - in_text == set()
    assert defined - public == {"interval_coverage"}
