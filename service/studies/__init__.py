"""Studies from a PACS as durable work: what was accepted ends, once, whatever happens to the process."""

from service.studies.record import ResultRef, Review, StudyRecord, StudyState
from service.studies.studies import Studies

__all__ = ["ResultRef", "Review", "Studies", "StudyRecord", "StudyState"]
