"""Which tasks are exported, and from which files."""

from pathlib import Path

import pytest

from entrust.contract import BRAIN, LESION, ONCOLOGY, TASKS
from entrust.errors import NotFoundError
from export.weights import choose_weights, released_path


def test_a_folder_gives_every_task_that_it_has_weights_of(tmp_path: Path) -> None:
    (tmp_path / "lesion.safetensors").touch()
    (tmp_path / "oncology.safetensors").touch()
    assert choose_weights("", tmp_path, untrained=False) == [
        (ONCOLOGY, tmp_path / "oncology.safetensors"),
        (LESION, tmp_path / "lesion.safetensors"),
    ]
    assert choose_weights("lesion", tmp_path, untrained=False) == [(LESION, tmp_path / "lesion.safetensors")]
    with pytest.raises(NotFoundError, match="brain"):
        choose_weights("brain", tmp_path, untrained=False)


def test_a_file_is_of_the_task_that_it_is_named_after_unless_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "lesion.safetensors"
    assert choose_weights("", file, untrained=False) == [(LESION, file)]
    other = tmp_path / "attempt-7.safetensors"
    assert choose_weights("brain", other, untrained=False) == [(BRAIN, other)]
    with pytest.raises(NotFoundError):
        choose_weights("", other, untrained=False)


def test_without_a_path_the_projects_own_are_exported() -> None:
    assert (ONCOLOGY, released_path(ONCOLOGY)) in choose_weights("", None, untrained=False)


def test_random_weights_need_no_file() -> None:
    assert choose_weights("", None, untrained=True) == [(task, None) for task in TASKS.values()]
