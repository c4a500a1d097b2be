"""Without TensorRT the exporter says what is missing and how to get it."""

import importlib.util

import pytest
from typer.testing import CliRunner

from entrust.contract import ONCOLOGY, model_contracts
from entrust.errors import ModelUnavailableError
from export.plans import axis_sizes, load_tensorrt

without_tensorrt = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt") is not None, reason="the tensorrt package is installed here"
)


@without_tensorrt
def test_a_missing_package_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(ModelUnavailableError, match="not installed") as caught:
        load_tensorrt()
    assert "gpu" in caught.value.fix
    assert "container" in caught.value.fix


@without_tensorrt
def test_the_command_fails_with_the_reason(tmp_path: object) -> None:
    import typer

    from export.__main__ import export

    app = typer.Typer()
    app.command()(export)
    result = CliRunner().invoke(app, ["--untrained", "--target", "tensorrt", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "model-unavailable" in result.stderr


def test_profiles_reach_the_largest_batch_that_triton_is_told() -> None:
    for contract in model_contracts(ONCOLOGY).values():
        assert axis_sizes(contract)["b"][2] == contract.max_batch_size


def test_profiles_are_ordered() -> None:
    for low, usual, high in axis_sizes(model_contracts(ONCOLOGY)["enfuse"]).values():
        assert low <= usual <= high
