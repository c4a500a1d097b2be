"""What each served model takes and gives, and which numbers travel with the weights."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from entrust.contract.task import Task

CONTRACT_VERSION = "1"
"""Raised with any change of tensors, features or normalisation that older weights would not survive."""


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a served model, without its batch dimension; −1 is a dynamic size."""

    name: str
    dims: tuple[int, ...]
    dtype: Literal["FP32"] = "FP32"


@dataclass(frozen=True)
class ModelContract:
    """What a served model promises.

    Attributes:
        name: Name in Triton.
        inputs: Input tensors.
        outputs: Output tensors.
        max_batch_size: Largest batch (slices).
        instances: Instances per device; on CPUs each has one thread.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int
    instances: int = 2


@dataclass(frozen=True)
class FittedConstants:
    """Numbers fitted on the calibration patients; they travel with the weights as parameters of the served models.

    Attributes:
        kappa: Weight of the one-step marginal in the mixture with the hypotheses' mean, in [0, 1].
        volume_interval_scale: Factor on the hypotheses' spread of log volume for a 90 % interval.
        uncertain_threshold: Error probability from which a voxel belongs to an uncertain region.
        conflict_threshold: Conflict from which a voxel counts as contradicted.
        probe_share: Weight of the probes in the conflict map, see :mod:`entrust.witnesses`.
        doubt_share: Weight of the marginal's entropy in it; the gate's is 1 minus both.
    """

    kappa: float = 0.5
    volume_interval_scale: float = 1.0
    uncertain_threshold: float = 0.3
    conflict_threshold: float = 0.5
    probe_share: float = 0.0
    doubt_share: float = 0.0


@dataclass(frozen=True)
class ModelCard:
    """What identifies a served set of weights.

    Attributes:
        task: Task name.
        version: Version of the weights.
        digest: SHA-256 of the weights file, hexadecimal.
        contract: :data:`CONTRACT_VERSION` at export.
        constants: Fitted numbers.
    """

    task: str
    version: str
    digest: str
    contract: str = CONTRACT_VERSION
    constants: FittedConstants = field(default_factory=FittedConstants)

    def parameters(self) -> dict[str, str]:
        """Return the card as string parameters for ``config.pbtxt``."""
        return {
            f"entrust_{k}": v if isinstance(v, str) else json.dumps(v, sort_keys=True) for k, v in asdict(self).items()
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> "ModelCard":
        """Read back what :meth:`parameters` wrote.

        Raises:
            KeyError: A parameter is missing.
        """
        constants: dict[str, Any] = json.loads(parameters["entrust_constants"])
        return cls(
            task=parameters["entrust_task"],
            version=parameters["entrust_version"],
            digest=parameters["entrust_digest"],
            contract=parameters["entrust_contract"],
            constants=FittedConstants(**constants),
        )


def model_contracts(task: Task) -> dict[str, ModelContract]:
    """Return the three served models of a task by their part: ``enfuse``, ``denoiser``, ``calibration_head``.

    Dimensions (batch b = slices, not listed): m modality, z context slice, v variant (0 is the unperturbed study),
    k hypothesis, c class, f feature, p modality pair, h and w pixels (multiples of ``size_multiple``; ``-1``).
    """
    m, c, z = task.num_modalities, task.num_classes, len(task.context_offsets)
    f, p = task.conditioning_features, len(task.pairs)
    return {
        "enfuse": ModelContract(
            name=f"{task.name}_enfuse",
            inputs=(
                TensorSpec("images", (m, z, -1, -1)),
                TensorSpec("presence", (m, z, -1, -1)),
                TensorSpec("keep", (-1, m)),
                TensorSpec("conflict_gain", (-1,)),
            ),
            outputs=(
                TensorSpec("conditioning", (-1, f, -1, -1)),  # [v, f, h/2, w/2]
                TensorSpec("conflict", (1, -1, -1)),  # G of variant 0, in [0, 1]
                TensorSpec("pair_conflict", (p, -1, -1)),  # C_mn of variant 0, in [0, 1]
                TensorSpec("unimodal", (m, c, -1, -1)),  # p_m, softmax over c
            ),
            max_batch_size=task.max_batch_size,
        ),
        "denoiser": ModelContract(
            name=f"{task.name}_denoiser",
            inputs=(
                TensorSpec("x", (-1, c, -1, -1)),  # [k, c, h, w]
                TensorSpec("clean", (-1, c, -1, -1)),  # previous x̂0 in [−1, 1], zeros at the first step
                TensorSpec("t", (1,)),
                TensorSpec("conditioning", (f, -1, -1)),
            ),
            outputs=(TensorSpec("logits", (-1, c, -1, -1)),),
            max_batch_size=task.max_batch_size,
        ),
        "calibration_head": ModelContract(
            name=f"{task.name}_calibration_head",
            inputs=(TensorSpec("features", (task.num_features, -1, -1)),),
            outputs=(
                TensorSpec("probability", (c, -1, -1)),
                TensorSpec("error_probability", (1, -1, -1)),
            ),
            max_batch_size=task.max_batch_size,
        ),
    }
