"""The seam between the sampling loop and whatever runs the networks."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

Shape = tuple[int, ...]


class Executor(Protocol):
    """Runs one served model on one batch. Calls are pure: the same question has the same answer, bit for bit."""

    async def infer(
        self, model: str, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, Shape]
    ) -> dict[str, np.ndarray]:
        """Run a model.

        Args:
            model: Its name.
            inputs: float32 tensors by name, batch first.
            outputs: The tensors wanted, with the shapes that they will have.

        Returns:
            The wanted tensors, float32, owned by the caller.

        Raises:
            EnTrustError: model-unavailable, inference-failed, overloaded, deadline-exceeded.
        """
        ...
