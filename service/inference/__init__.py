"""Ask Triton: the sampling loop, the client that carries its tensors, and the check that the right model is served."""

from service.inference.card import is_deployed, load_card
from service.inference.client import TritonClient
from service.inference.clockwork import Timings
from service.inference.executor import Executor
from service.inference.loop import InferenceResult, calibrate, run_inference

__all__ = [
    "Executor",
    "InferenceResult",
    "Timings",
    "TritonClient",
    "calibrate",
    "is_deployed",
    "load_card",
    "run_inference",
]
