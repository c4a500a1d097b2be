"""Which task, and which series plays which role: rules in one file, and an answer that explains itself."""

from service.selection.choosing import Selection, select
from service.selection.completeness import Arrival, Completeness, completeness, with_quiet_seconds
from service.selection.explanation import Explanation
from service.selection.loading import default_rules, load_rules, parse_rules
from service.selection.rules import Rules
from service.selection.settling import settle_task, task_of_modalities, tasks_with

__all__ = [
    "Arrival",
    "Completeness",
    "Explanation",
    "Rules",
    "Selection",
    "completeness",
    "default_rules",
    "load_rules",
    "parse_rules",
    "select",
    "settle_task",
    "task_of_modalities",
    "tasks_with",
    "with_quiet_seconds",
]
