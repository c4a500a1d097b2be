"""The single truth about tasks and tensors, read by exporter and gateway alike.

What a task consists of (modalities, labels with their codes, grid), what each served model takes and gives (names,
types, shapes), and which numbers travel with the weights. ``export`` writes ``config.pbtxt`` from it; the gateway
compares Triton's metadata with it before it says ready.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any, Literal

from entrust.errors import InvalidInputError, NotFoundError
from entrust.noise import NoiseModel
from entrust.schedule import Schedule

CONTRACT_VERSION = "1"
"""Raised with any change of tensors, features or normalisation that older weights would not survive."""


@dataclass(frozen=True)
class Code:
    """A coded concept (DICOM code sequence item)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """One segmented class; the background is label 0 and is not listed.

    Attributes:
        value: Value in the label map, from 1.
        slug: Short name in files and JSON.
        title: Words for people.
        property_category: SNOMED CT category code for the DICOM segment.
        property_type: SNOMED CT type code for the DICOM segment.
        colour: sRGB for displays, 0..255.
    """

    value: int
    slug: str
    title: str
    property_category: Code
    property_type: Code
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Modality:
    """One input role of a task.

    Attributes:
        slug: Role name: ``ct``, ``pet``, ``t1``.
        title: Words for people.
        dicom_modality: Value of (0008,0060) that can play the role.
        units: What the intensities mean: ``HU``, ``SUV`` or ``arbitrary``.
    """

    slug: str
    title: str
    dicom_modality: str
    units: Literal["HU", "SUV", "arbitrary"]


@dataclass(frozen=True)
class Task:
    """A segmentation task.

    Attributes:
        name: Name in URLs, files and model names.
        title: Words for people.
        modalities: Input roles; their order is the tensors' order.
        labels: Segmented classes.
        required: Slugs without which there is no answer; at least one modality is always needed.
        reference_order: Slugs by preference for the series whose geometry the results take.
        spacing_mm: Grid of the model (depth, row, column).
        context_offsets: Slices shown to the network around the slice of interest, in grid slices.
        size_multiple: Height and width are padded to a multiple of this.
        conditioning_features: Channels of EnFuse's conditioning.
        schedule: Noise schedule.
        noise: Covariance of the noise.
        num_hypotheses: Default K.
        num_steps: Default S.
        eta: Default share of fresh noise.
        max_batch_size: Largest number of slices in one call.
    """

    name: str
    title: str
    modalities: tuple[Modality, ...]
    labels: tuple[Label, ...]
    required: tuple[str, ...]
    reference_order: tuple[str, ...]
    spacing_mm: tuple[float, float, float]
    context_offsets: tuple[int, ...]
    size_multiple: int
    conditioning_features: int
    schedule: Schedule
    noise: NoiseModel = NoiseModel()
    num_hypotheses: int = 8
    num_steps: int = 4
    eta: float = 1.0
    max_batch_size: int = 64

    @property
    def num_classes(self) -> int:
        """C, background included."""
        return len(self.labels) + 1

    @property
    def num_modalities(self) -> int:
        """M."""
        return len(self.modalities)

    @property
    def slugs(self) -> tuple[str, ...]:
        """Modality slugs in tensor order."""
        return tuple(m.slug for m in self.modalities)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Modality pairs in the order of the pair-conflict channels."""
        return tuple(combinations(self.slugs, 2))

    @property
    def num_features(self) -> int:
        """Channels that the calibration head sees; see :func:`entrust.trustmap.calibration_features`."""
        return 2 * self.num_classes + 8

    def modality(self, slug: str) -> Modality:
        """Return the modality called ``slug``.

        Raises:
            InvalidInputError: The task has no such modality.
        """
        for modality in self.modalities:
            if modality.slug == slug:
                return modality
        raise InvalidInputError(
            f"Task {self.name!r} has no modality of the given name.", fix=f"Use one of: {', '.join(self.slugs)}."
        )


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
        conflict_threshold: G from which a voxel counts as contradicted.
    """

    kappa: float = 0.5
    volume_interval_scale: float = 1.0
    uncertain_threshold: float = 0.3
    conflict_threshold: float = 0.5


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


_SCT = "SCT"

ONCOLOGY = Task(
    name="oncology",
    title="Soft-tissue tumour on CT, FDG PET and T1 MR",
    modalities=(
        Modality("ct", "CT", "CT", "HU"),
        Modality("pet", "FDG PET", "PT", "SUV"),
        Modality("t1", "T1-weighted MR", "MR", "arbitrary"),
    ),
    labels=(
        Label(
            value=1,
            slug="gtv",
            title="Gross tumour volume",
            property_category=Code("49755003", _SCT, "Morphologically Abnormal Structure"),
            property_type=Code("108369006", _SCT, "Neoplasm"),
            colour=(230, 75, 53),
        ),
    ),
    required=(),
    reference_order=("ct", "pet", "t1"),
    spacing_mm=(3.27, 2.0, 2.0),
    context_offsets=(-3, -1, 0, 1, 3),
    size_multiple=16,
    conditioning_features=32,
    schedule=Schedule(input_scale=0.1),
)

TASKS: Mapping[str, Task] = {task.name: task for task in (ONCOLOGY,)}


def get_task(name: str) -> Task:
    """Return the task called ``name``.

    Raises:
        NotFoundError: No such task.
    """
    try:
        return TASKS[name]
    except KeyError:
        raise NotFoundError("There is no task of that name.", fix=f"Use one of: {', '.join(TASKS)}.") from None
