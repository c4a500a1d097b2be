"""Who did what with which study, and how long each hop took: kept as files, and sent to a syslog receiver.

A room tells of what happens with one call::

    audit.record(audit.Event(audit.What.TRANSFERRED, hop=audit.Hop.DELIVERED, study_uid=uid, duration_seconds=0.4))
"""

from service.audit.event import Action, Event, Hop, Outcome, What, outcome_of, refused_caller
from service.audit.message import AuditSource
from service.audit.reading import Step, read_trail
from service.audit.reception import Reception
from service.audit.recording import About, about, current, open_trail, record
from service.audit.syslog import Receiver, client_context

__all__ = [
    "About",
    "Action",
    "AuditSource",
    "Event",
    "Hop",
    "Outcome",
    "Receiver",
    "Reception",
    "Step",
    "What",
    "about",
    "client_context",
    "current",
    "open_trail",
    "outcome_of",
    "read_trail",
    "record",
    "refused_caller",
]
