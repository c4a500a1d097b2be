"""The single truth about tasks and tensors, read by exporter and gateway alike.

What a task consists of (modalities, labels with their codes, grid), what each served model takes and gives (names,
types, shapes), and which numbers travel with the weights. ``export`` writes ``config.pbtxt`` from it; the gateway
compares Triton's metadata with it before it says ready.
"""

from entrust.contract.models import (
    CONTRACT_VERSION,
    FittedConstants,
    ModelCard,
    ModelContract,
    TensorSpec,
    model_contracts,
)
from entrust.contract.task import Code, Label, Modality, Task
from entrust.contract.tasks import BRAIN, CARDIAC, LESION, ONCOLOGY, TASKS, get_task

__all__ = [
    "BRAIN",
    "CARDIAC",
    "CONTRACT_VERSION",
    "LESION",
    "ONCOLOGY",
    "TASKS",
    "Code",
    "FittedConstants",
    "Label",
    "Modality",
    "ModelCard",
    "ModelContract",
    "Task",
    "TensorSpec",
    "get_task",
    "model_contracts",
]
