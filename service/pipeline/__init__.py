"""The only conductor: it alone knows the order of the rooms, and nothing else."""

from service.pipeline.conductor import Inferred, Pipeline, explain_selection, prepare_study
from service.pipeline.request import SegmentationRequest, Source
from service.pipeline.served import ModelState, hindrances

__all__ = [
    "Inferred",
    "ModelState",
    "Pipeline",
    "SegmentationRequest",
    "Source",
    "explain_selection",
    "hindrances",
    "prepare_study",
]
