"""A performer of other people's worklists: claims workitems by UPS-RS, does them, and reports (IHE AIW-I)."""

from service.worklist.guards import Capabilities
from service.worklist.performer import Performer, PerformerSettings
from service.worklist.studies import OrderedStudies, ResultInstance, Studies, StudyEnd
from service.worklist.task_manager import TaskManager

__all__ = [
    "Capabilities",
    "OrderedStudies",
    "Performer",
    "PerformerSettings",
    "ResultInstance",
    "Studies",
    "StudyEnd",
    "TaskManager",
]
