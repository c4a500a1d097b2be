"""Audit messages: valid whatever happened, and telling what the standard wants told."""

import base64
import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audit import AuditSource, Event, Hop, Outcome, What
from service.audit.event import uid
from service.audit.message import EVENT_IDS, write_message
from tests.factories.audit_messages import codes, parse_message

SOURCE = AuditSource("entrust-1", "clinic", "host-a", 42)
STUDY = "1.2.826.0.1.3680043.8.498.1"
WORDS = st.text(max_size=300)
EVENTS = st.builds(
    Event,
    what=st.sampled_from(What),
    hop=st.sampled_from([None, *Hop]),
    outcome=st.sampled_from(Outcome),
    door=WORDS,
    peer=WORDS,
    address=WORDS,
    sending=st.booleans(),
    study_uid=st.one_of(WORDS, st.just(STUDY)),
    job_id=WORDS,
    sop_classes=st.dictionaries(st.one_of(WORDS, st.just("1.2.3")), st.integers(1, 9), max_size=3),
    query=WORDS,
    reason=WORDS,
)


@given(EVENTS)
def test_every_event_is_a_valid_message_or_a_mere_hop(event: Event) -> None:
    text = write_message(event, SOURCE)
    assert not {"\n", "\r"} & set(text), "one line of a file"
    if event.what is What.HOP:
        assert text == ""
    else:
        root = parse_message(text)
        assert codes(root, "EventIdentification/EventID") == [EVENT_IDS[event.what][0]]
        assert root.find("EventIdentification").get("EventOutcomeIndicator") == str(event.outcome.value)


def test_the_schema_refuses_what_the_standard_does() -> None:
    good = write_message(Event(What.TRANSFERRED, peer="SCANNER", study_uid=STUDY), SOURCE)
    parse_message(good)
    for old, new in (
        ('EventOutcomeIndicator="0"', 'EventOutcomeIndicator="1"'),
        ("<ParticipantObjectName>study</ParticipantObjectName>", ""),
        (f'ParticipantObjectID="{STUDY}"', ""),
        ('UserIsRequestor="true"', 'UserIsRequestor="perhaps"'),
    ):
        assert old in good
        with pytest.raises(AssertionError):
            parse_message(good.replace(old, new))


@pytest.mark.parametrize("sending", [False, True])
def test_what_moved_has_a_source_a_destination_and_a_study(sending: bool) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
    event = Event(
        What.TRANSFERRED, peer="PACS", address="192.0.2.7", sending=sending, study_uid=STUDY, sop_classes={"1.2.3": 4},
        at=at,
    )  # fmt: skip
    root = parse_message(write_message(event, SOURCE))
    assert root.find("EventIdentification").get("EventDateTime") == "2026-01-02T03:04:05.678Z"
    own, other = root.findall("ActiveParticipant")
    assert (own.get("UserID"), other.get("UserID")) == ("entrust-1", "PACS")
    assert other.get("NetworkAccessPointID") == "192.0.2.7"
    roles = ["110153", "110152"] if sending else ["110152", "110153"]
    assert codes(root, "ActiveParticipant/RoleIDCode") == roles
    assert (own.get("UserIsRequestor"), other.get("UserIsRequestor")) == (
        ("true", "false") if sending else ("false", "true")
    )
    (study,) = root.findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") == STUDY
    assert codes(study, "ParticipantObjectIDTypeCode") == ["110180"]
    sop_class = study.find("ParticipantObjectDescription/SOPClass")
    assert (sop_class.get("UID"), sop_class.get("NumberOfInstances")) == ("1.2.3", "4")


def test_an_alert_names_the_node_and_says_why() -> None:
    event = Event(What.ALERT, outcome=Outcome.SERIOUS_FAILURE, door="dimse", peer="STRANGER", reason="ae-title")
    root = parse_message(write_message(event, SOURCE))
    assert codes(root, "EventIdentification/EventTypeCode") == ["110126"]
    assert root.find("EventIdentification/EventOutcomeDescription").text == "ae-title"
    (node,) = root.findall("ParticipantObjectIdentification")
    assert node.get("ParticipantObjectID") == "STRANGER"
    detail = node.find("ParticipantObjectDetail")
    assert detail.get("type") == "Alert Description"
    assert base64.b64decode(detail.get("value")) == b"ae-title"


def test_a_query_names_its_keys() -> None:
    root = parse_message(write_message(Event(What.QUERIED, query="level=study&PatientID"), SOURCE))
    query = root.find("ParticipantObjectIdentification/ParticipantObjectQuery")
    assert base64.b64decode(query.text) == b"level=study&PatientID"


def test_no_field_takes_a_patient() -> None:
    """What an event can say is a closed list; one that is added here has to be thought about."""
    assert {field.name for field in dataclasses.fields(Event)} == {
        "what", "hop", "outcome", "action", "door", "peer", "address", "sending", "study_uid", "job_id", "sop_classes",
        "query", "reason", "duration_seconds", "at", "quiet_seconds",
    }  # fmt: skip
    assert Event(study_uid="DOE^JANE").study_uid == ""
    assert Event(sop_classes={"DOE^JANE": 1}).sop_classes == {}


@given(WORDS)
def test_a_uid_is_digits_and_dots(text: str) -> None:
    kept = uid(text)
    assert kept in ("", text)
    assert all(character in "0123456789." for character in kept)
