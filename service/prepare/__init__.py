"""A decoded study → the task's modalities on the task's grid."""

from service.prepare.appearance import Appearance, describe_appearance
from service.prepare.case import prepare_case

__all__ = ["Appearance", "describe_appearance", "prepare_case"]
