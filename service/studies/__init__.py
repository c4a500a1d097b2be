"""Studies from a PACS as durable work: what was accepted ends, once, whatever happens to the process."""

from service.studies.delivery import Delivery, InstanceRef, NoDelivery
from service.studies.record import Review, StudyRecord, StudyState
from service.studies.studies import Studies

__all__ = ["Delivery", "InstanceRef", "NoDelivery", "Review", "Studies", "StudyRecord", "StudyState"]
