import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

from entrust.contract import TASKS, model_contracts
from service.triton.canary import digest, task_canaries
from service.triton.installation import SOURCES, Installation
from service.triton.processes import end_orphans, is_running, stubs


@pytest.mark.parametrize("name", TASKS)
def test_every_served_model_has_a_question_that_fits_its_contract(name: str) -> None:
    task = TASKS[name]
    canaries = task_canaries(task)
    assert set(canaries) == {contract.name for contract in model_contracts(task).values()}
    for contract in model_contracts(task).values():
        inputs = canaries[contract.name].inputs
        assert set(inputs) == {spec.name for spec in contract.inputs}
        for spec in contract.inputs:
            shape = inputs[spec.name].shape
            assert shape[0] == 1
            assert len(shape) == len(spec.dims) + 1
            assert all(wanted in (-1, size) for wanted, size in zip(spec.dims, shape[1:], strict=True))


def test_a_digest_sees_every_bit_name_and_shape() -> None:
    answer = {"y": np.zeros((2, 3), np.float32)}
    changed = {"y": np.zeros((2, 3), np.float32)}
    changed["y"][1, 2] = np.float32(1e-45)
    others = [changed, {"z": answer["y"]}, {"y": answer["y"].reshape(3, 2)}]
    assert digest(answer) == digest({"y": np.zeros((2, 3), np.float32)})
    assert all(digest(other) != digest(answer) for other in others)


def test_the_self_test_model_is_one_identity_node() -> None:
    model = onnx.load(SOURCES / "selftest" / "identity" / "1" / "model.onnx")
    onnx.checker.check_model(model)
    assert [(node.op_type, list(node.input), list(node.output)) for node in model.graph.node] == [
        ("Identity", ["x"], ["y"])
    ]


def test_an_installation_is_current_only_as_it_was_wanted(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    assert not installation.is_current()
    installation.marker.write_text("{}")
    assert not installation.is_current()
    installation.marker.write_text("not json")
    assert not installation.is_current()


def test_a_number_given_to_another_program_is_left_alone() -> None:
    assert stubs(os.getpid()) == {}
    end_orphans({os.getpid(): ("/somewhere/triton_python_backend_stub",)})  # or this test would not pass


def test_a_process_that_ended_does_not_run_even_before_anybody_asks_how() -> None:
    process = subprocess.Popen(["sleep", "60"])
    assert is_running(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the table of processes
    assert not is_running(process.pid)
    process.wait()
    assert not is_running(process.pid)
