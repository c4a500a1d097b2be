"""The tasks are those that their networks are fitted for, and their codes are the standard's."""

from pathlib import Path

import pytest
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts

from entrust.contract import LESION, ONCOLOGY, TASKS, Code, Task
from training.datasets.phantoms.world.case import DOMAINS

SIMULATED = [task for task in TASKS.values() if task is not ONCOLOGY]  # its networks know real patients
INFARCT = Code("55641003", "SCT", "Infarct")
"""|Infarct (morphologic abnormality)| of SNOMED CT; the standard's context groups do without it."""


def known(code: Code, *groups: int) -> bool:
    """Tell whether the standard has a code with this meaning, in one of the context groups where any are given."""
    return any(
        code.meaning == meaning and (not groups or any(keyword in cid_concepts[g].get(code.scheme, []) for g in groups))
        for keyword, meanings in concepts[code.scheme].items()
        for value, (meaning, _) in meanings.items()
        if value == code.value
    )


@pytest.mark.parametrize("task", SIMULATED, ids=lambda task: task.name)
def test_a_task_is_its_simulated_domain(task: Task) -> None:
    domain = DOMAINS[task.name]
    assert task.slugs == domain.slugs
    assert [(m.dicom_modality, m.units) for m in task.modalities] == [
        (channel.role.dicom_modality, channel.role.units) for channel in domain.channels
    ]
    assert len(task.labels) == len(domain.structures)
    assert task.nested == (len(domain.structures) > 1)
    assert task.spacing_mm == domain.spacing_mm, "the networks saw this grid"


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_task_is_well_formed(task: Task) -> None:
    assert [label.value for label in task.labels] == list(range(1, task.num_classes)), "a value is its class"
    assert sorted(task.reference_order) == sorted(task.slugs)
    for of in ("slug", "colour", "property_type"):
        assert len({getattr(label, of) for label in task.labels}) == len(task.labels), f"{of} tells segments apart"
    assert 0 in task.context_offsets
    for one, other in task.pairs:
        titles = " and ".join(task.modality(slug).title for slug in (one, other))
        assert len(f"{titles} contradict each other") <= 64, "a code's meaning has no more room"


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_codes_are_the_standards(task: Task) -> None:
    for label in task.labels:
        assert known(label.property_category, 7150), label.slug
        assert label.property_type == INFARCT or known(label.property_type), label.slug
    assert task.anatomic_region is None or known(task.anatomic_region, 4030)


def test_a_code_with_another_meaning_is_noticed() -> None:
    assert not known(Code("108369006", "SCT", "Infarct"))
    assert not known(Code("80891009", "SCT", "Heart"), 7150)
    assert LESION.labels[0].property_type == INFARCT


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_the_document_tells_structures_and_grid(task: Task) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "tasks.md").read_text()
    region = f"{task.anatomic_region.scheme} {task.anatomic_region.value}" if task.anatomic_region else ""
    for label in task.labels:
        category, kind = label.property_category, label.property_type
        row = (
            f"| `{task.name}` | {label.value} | `{label.slug}` | {label.title} | {category.scheme} {category.value} | "
        )
        assert row + f"{kind.scheme} {kind.value} {kind.meaning} | {region}" in text, label.slug
    assert " × ".join(f"{mm:g}" for mm in task.spacing_mm) in text
