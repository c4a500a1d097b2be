"""The command that fits the released weights on patients."""

import pytest

from training.__main__ import main


def test_a_task_without_patients_is_refused_with_the_way_to_fit_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(task="lesion")
    assert stopped.value.code == 1
    said = " ".join("".join(capsys.readouterr()).split())
    assert "make train TASK=lesion" in said
