"""A decoded study → the task's modalities on the task's grid."""

from service.prepare.case import prepare_case

__all__ = ["prepare_case"]
