"""An export that differs is refused."""

import numpy as np
import pytest

from entrust.contract import ONCOLOGY
from entrust.errors import InternalError
from export.parity import TensorParity, check, find_inputs


def row(difference: float) -> TensorParity:
    return TensorParity("oncology_denoiser", "logits", difference, 1.0, (1, 1, 2, 16, 16))


def test_small_differences_pass() -> None:
    check([row(0.0), row(9e-5)])


@pytest.mark.parametrize("difference", [1.1e-4, float("nan"), float("inf")])
def test_large_and_undefined_differences_are_refused(difference: float) -> None:
    with pytest.raises(InternalError, match="logits"):
        check([row(0.0), row(difference), row(1e-6)])


def test_real_slices_where_there_are_any(shared_data: object) -> None:
    inputs = find_inputs(ONCOLOGY)
    assert inputs.source == "real slices"
    assert inputs.images.dtype == inputs.presence.dtype == np.float32
    assert inputs.images.shape == inputs.presence.shape
    assert all(size % ONCOLOGY.size_multiple == 0 for size in inputs.images.shape[-2:])
    assert np.abs(inputs.images[inputs.presence == 0]).max() == 0.0
    assert inputs.images.std() > 0.1
