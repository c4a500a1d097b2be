"""An event as an audit message in XML.

Source: DICOM PS3.15 A.5.1 (schema) and A.5.3 (the message of each event). Two deviations, both on purpose: no message
names a patient (:mod:`service.audit.event` has no room for one), and a query is told by the names of its keys alone.
"""

import base64
import os
import socket
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, SubElement, tostring

from service.audit.event import Event, What
from service.audit.times import stamp

Code = tuple[str, str, str]
"""Code value, coding scheme, meaning."""

EVENT_IDS: dict[What, Code] = {
    What.STARTED: ("110100", "DCM", "Application Activity"),
    What.STOPPED: ("110100", "DCM", "Application Activity"),
    What.BEGIN_TRANSFERRING: ("110102", "DCM", "Begin Transferring DICOM Instances"),
    What.ACCESSED: ("110103", "DCM", "DICOM Instances Accessed"),
    What.TRANSFERRED: ("110104", "DCM", "DICOM Instances Transferred"),
    What.DELETED: ("110105", "DCM", "DICOM Study Deleted"),
    What.EXPORTED: ("110106", "DCM", "Export"),
    What.IMPORTED: ("110107", "DCM", "Import"),
    What.QUERIED: ("110112", "DCM", "Query"),
    What.ALERT: ("110113", "DCM", "Security Alert"),
}
EVENT_TYPES: dict[What, Code] = {
    What.STARTED: ("110120", "DCM", "Application Start"),
    What.STOPPED: ("110121", "DCM", "Application Stop"),
    What.ALERT: ("110126", "DCM", "Node Authentication"),
}
APPLICATION: Code = ("110150", "DCM", "Application")
DESTINATION: Code = ("110152", "DCM", "Destination Role ID")
SOURCE: Code = ("110153", "DCM", "Source Role ID")
STUDY_INSTANCE_UID: Code = ("110180", "DCM", "Study Instance UID")
SOP_CLASS_UID: Code = ("110181", "DCM", "SOP Class UID")
NODE_ID: Code = ("110182", "DCM", "Node ID")
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
"""QIDO-RS searches what this class searches (PS3.18 10.6)."""
SYSTEM_OBJECT, REPORT, SECURITY_RESOURCE, QUERY = "2", "3", "13", "24"
MACHINE_NAME, IP_ADDRESS = "1", "2"
APPLICATION_SERVER = "4"


@dataclass(frozen=True)
class AuditSource:
    """Who reports.

    Attributes:
        id: AuditSourceID.
        site: AuditEnterpriseSiteID; left out when empty.
        host: Name of this machine.
        process_id: Of this process.
    """

    id: str = "entrust-serve"
    site: str = ""
    host: str = field(default_factory=socket.gethostname)
    process_id: int = field(default_factory=os.getpid)


def write_message(event: Event, source: AuditSource) -> str:
    """Return the audit message of an event, on one line; empty for a mere hop.

    Args:
        event: What happened.
        source: Who reports.
    """
    if event.what not in EVENT_IDS:
        return ""
    root = Element("AuditMessage")
    _identification(root, event)
    _participants(root, event, source)
    reporter = SubElement(root, "AuditSourceIdentification", AuditSourceID=source.id)
    if source.site:
        reporter.set("AuditEnterpriseSiteID", source.site)
    SubElement(reporter, "AuditSourceTypeCode", {"csd-code": APPLICATION_SERVER})
    _objects(root, event, source)
    return tostring(root, encoding="unicode")


def _identification(root: Element, event: Event) -> None:
    about = SubElement(
        root,
        "EventIdentification",
        EventActionCode=str(event.action),
        EventDateTime=stamp(event.at),
        EventOutcomeIndicator=str(int(event.outcome)),
    )
    _coded(about, "EventID", EVENT_IDS[event.what])
    if event.what in EVENT_TYPES:
        _coded(about, "EventTypeCode", EVENT_TYPES[event.what])
    if event.reason and event.outcome:
        SubElement(about, "EventOutcomeDescription").text = event.reason


def _participants(root: Element, event: Event, source: AuditSource) -> None:
    """Name this process, and the other side where there is one, as source and destination of what moved."""
    moved = event.what in {What.BEGIN_TRANSFERRING, What.TRANSFERRED, What.IMPORTED, What.EXPORTED, What.QUERIED}
    own_role = (SOURCE if event.sending else DESTINATION) if moved else APPLICATION
    own = SubElement(
        root,
        "ActiveParticipant",
        UserID=source.id,
        AlternativeUserID=str(source.process_id),
        UserIsRequestor="true" if event.sending or not (event.peer or event.address) else "false",
        NetworkAccessPointID=source.host,
        NetworkAccessPointTypeCode=MACHINE_NAME,
    )
    _coded(own, "RoleIDCode", own_role)
    if not moved and not event.peer and not event.address:
        return
    # an alert is about the other side, who need not be known to have asked for anything
    asked = not event.sending and event.what is not What.ALERT
    other = SubElement(
        root,
        "ActiveParticipant",
        UserID=event.peer or event.address or "unknown",
        UserIsRequestor="true" if asked else "false",
    )
    if event.address:
        other.set("NetworkAccessPointID", event.address)
        other.set("NetworkAccessPointTypeCode", IP_ADDRESS)
    if moved:
        _coded(other, "RoleIDCode", DESTINATION if event.sending else SOURCE)


def _objects(root: Element, event: Event, source: AuditSource) -> None:
    if event.what is What.ALERT:
        node = _object(root, event.peer or event.address or source.id, NODE_ID, SECURITY_RESOURCE)
        SubElement(node, "ParticipantObjectName").text = event.door
        _detail(node, "Alert Description", event.reason)
    elif event.what is What.QUERIED:
        query = _object(root, STUDY_ROOT_FIND, SOP_CLASS_UID, QUERY)
        SubElement(query, "ParticipantObjectQuery").text = _base64(event.query)
    if event.study_uid and event.what is not What.QUERIED:
        study = _object(root, event.study_uid, STUDY_INSTANCE_UID, REPORT)
        SubElement(study, "ParticipantObjectName").text = "study"  # the schema asks for a name; this one tells nothing
        if event.job_id:
            _detail(study, "job", event.job_id)
        if event.sop_classes:
            description = SubElement(study, "ParticipantObjectDescription")
            for name, count in sorted(event.sop_classes.items()):
                SubElement(description, "SOPClass", UID=name, NumberOfInstances=str(count))


def _object(root: Element, object_id: str, code: Code, role: str) -> Element:
    made = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=object_id,
        ParticipantObjectTypeCode=SYSTEM_OBJECT,
        ParticipantObjectTypeCodeRole=role,
    )
    _coded(made, "ParticipantObjectIDTypeCode", code)
    return made


def _detail(parent: Element, kind: str, value: str) -> None:
    SubElement(parent, "ParticipantObjectDetail", type=kind, value=_base64(value))


def _coded(parent: Element, name: str, code: Code) -> None:
    value, scheme, meaning = code
    SubElement(
        parent, name, {"csd-code": value, "codeSystemName": scheme, "displayName": meaning, "originalText": meaning}
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
