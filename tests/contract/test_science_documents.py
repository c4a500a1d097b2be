"""The documents of the method name what exists, and all of it."""

import ast
import re
from pathlib import Path

import entrust.metrics

ROOT = Path(__file__).resolve().parents[2]
METHOD = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
METRICS = (ROOT / "docs" / "metrics-science.md").read_text(encoding="utf-8")
BUILDING_BLOCKS = {
    "Domain",
    "Estimate",
    "blob_fractions",
    "classwise_reliability",
    "detection_counts",
    "iou_distances",
    "joint_states",
    "reliability",
    "state_marginals",
    "truth_reliability",
}
TESTS = ROOT / "tests" / "unit" / "entrust"
LIBRARIES = {"MONAI": "monai", "SimpleITK": "SimpleITK", "scikit-learn": "sklearn"}
"""Their names where they are not those of their modules."""


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


def rows_of_metrics() -> list[list[str]]:
    """The cells of the one table of metrics; a bar inside a cell is escaped."""
    table = METRICS.split("## The metrics")[1].split("\n## ")[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def test_every_metric_is_defined_and_every_definition_is_a_metric() -> None:
    defined = [row[0].strip("`") for row in rows_of_metrics()]
    assert len(defined) == len(set(defined)) > 30
    in_text = set(re.findall(r"`(\w+)`", METRICS)) | {name.split(".")[0] for name in re.findall(r"`([\w.]+)`", METRICS)}
    public = set(entrust.metrics.__all__)
    assert public - BUILDING_BLOCKS - in_text == set()
    assert {name.split(".")[0] for name in defined} - public == {"interval_coverage"}
    for name in defined:
        owner, _, attribute = name.partition(".")
        assert not attribute or hasattr(getattr(entrust.metrics, owner), attribute)


def test_every_metric_says_where_it_points_what_the_oracle_gets_and_who_checks_it() -> None:
    bodies, files = {}, {}
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text("utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef):
                bodies[node.name], files[node.name] = ast.get_source_segment(text, node) or "", text
    for name, domain, definition, unit, direction, oracle, checked_by in rows_of_metrics():
        assert all((domain, definition, unit, oracle)), name
        assert direction in {"↑", "↓", "the level"}, name
        who, _, tests = checked_by.partition(":")
        named = re.findall(r"`(test_\w+)`", tests)
        assert named, name
        metric = name.strip("`").split(".")[-1]
        assert all(re.search(rf"\b{metric}\b", bodies[test]) for test in named), name
        for library in re.findall(r"MONAI|SimpleITK|scikit-learn|torchmetrics|netcal|scipy", who):
            module = LIBRARIES.get(library, library)
            assert any(re.search(rf"(import|from) {module}\b", files[test]) for test in named), (name, library)


def test_every_floor_of_the_table_is_a_function() -> None:
    floors = {floor for row in rows_of_metrics() for floor in re.findall(r"`(\w+_floor)`", row[5])}
    assert floors == {name for name in entrust.metrics.__all__ if name.endswith("_floor")}
