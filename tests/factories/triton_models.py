"""Model repositories that make a real Triton do what is hard to provoke with good models."""

import shutil
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

SLOW_MODEL = """
import time
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            x = np.from_dlpack(pb_utils.get_input_tensor_by_name(request, "x")).copy()
            time.sleep(float(x[0, 0]))
            answers.append(pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("y", x)]))
        return answers
"""

SLOW_CONFIG = """
name: "slow"
backend: "python"
max_batch_size: 1
input [ { name: "x", data_type: TYPE_FP32, dims: [ -1 ] } ]
output [ { name: "y", data_type: TYPE_FP32, dims: [ -1 ] } ]
instance_group [ { kind: KIND_CPU, count: 1 } ]
dynamic_batching { default_queue_policy { max_queue_size: 3 } }
"""


def write_slow_model(repository: Path) -> None:
    """Write a model that sleeps as many seconds as its first number says, with room for three requests in its queue."""
    folder = repository / "slow"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(SLOW_CONFIG)
    (folder / "1" / "model.py").write_text(SLOW_MODEL)


def copy_model(source: Path, target: Path, model: str, **changes: object) -> None:
    """Copy a model from one repository to another.

    Args:
        source: Repository to copy from.
        target: Repository to copy to.
        model: Its name.
        changes: Fields of its configuration to set; ``parameters`` are merged.
    """
    shutil.copytree(source / model, target / model)
    path = target / model / "config.pbtxt"
    config = text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
    for name, value in changes.items():
        if isinstance(value, dict):
            for key, text in value.items():
                config.parameters[key].string_value = text
        else:
            setattr(config, name, value)
    path.write_text(text_format.MessageToString(config))
