"""Audit messages to a syslog receiver: framed and encrypted as the standards say, and patient with its absences."""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

import pytest
import trustme

from deploy.prometheus.server import free_port
from entrust.errors import InvalidInputError
from service import audit
from service.audit import AuditSource, Event, Hop, Receiver, What, client_context, record
from service.audit.journal import load_position
from service.audit.syslog import pauses_seconds
from tests.factories.audit_messages import parse_message
from tests.servers.syslog_receiver import StartReceiver, SyslogReceiver

SOURCE = AuditSource("test", host="host-a", process_id=7)


@contextmanager
def trail(
    folder: Path, receiver: Receiver, *, max_file_bytes: int = 1 << 20, max_files: int = 4
) -> Iterator[Counter[str]]:
    counts: Counter[str] = Counter()

    def count(outcome: str, number: int) -> None:
        counts[outcome] += number

    with audit.open_trail(
        folder, source=SOURCE, count=count, max_file_bytes=max_file_bytes, max_files=max_files, receiver=receiver
    ):
        yield counts


def tell(*numbers: int) -> None:
    for number in numbers:
        record(Event(What.TRANSFERRED, study_uid=f"1.2.{number}"))


def studies(receiver: SyslogReceiver) -> list[int]:
    found = []
    for one in receiver.received:
        study = parse_message(one["message"]).find("ParticipantObjectIdentification")
        found.append(int(study.get("ParticipantObjectID").rpartition(".")[2]))
    return found


def test_messages_arrive_as_rfc_5424_and_5425_say(tmp_path: Path, start_receiver: StartReceiver) -> None:
    with start_receiver() as receiver, trail(tmp_path, receiver.receiver()) as counts:
        tell(1)
        record(Event(hop=Hop.QUEUED, job_id="job"))  # no message of its own: not sent
        tell(2)
        receiver.wait_for(lambda one: len(one.received) >= 2)
        assert studies(receiver) == [1, 2]
        first = receiver.received[0]
        assert first["priority"] == "85"
        assert (first["host"], first["application"], first["process"]) == ("host-a", "entrust-serve", "7")
        assert first["id"] == "DICOM+RFC3881"
        assert counts["sent"] == 2


def test_nothing_is_lost_while_the_receiver_is_away(tmp_path: Path, start_receiver: StartReceiver) -> None:
    port = free_port()
    away = Receiver("localhost", port, client_context(None, None, None), retry_seconds=(0.02, 0.02))
    with trail(tmp_path, away):
        tell(*range(250))
    with start_receiver(port) as receiver, trail(tmp_path, receiver.receiver()):  # another process, later
        tell(250)
        receiver.wait_for(lambda one: len(one.received) >= 251)
        assert studies(receiver) == list(range(251)), "in order, none missing"
    with start_receiver(port) as again, trail(tmp_path, again.receiver()):
        tell(251)
        again.wait_for(lambda one: len(one.received) >= 1)
        assert studies(again) == [251], "what was sent to the end is not sent again"


def test_what_a_dying_receiver_may_have_lost_is_sent_again(tmp_path: Path, start_receiver: StartReceiver) -> None:
    port = free_port()
    with ExitStack() as stack:
        with start_receiver(port) as first:
            stack.enter_context(trail(tmp_path, first.receiver(doubt=3600.0)))
            tell(1, 2)
            first.wait_for(lambda one: len(one.received) >= 2)
        with start_receiver(port) as second:  # the first one died, with what it had not written down
            tell(3)
            second.wait_for(lambda one: 3 in studies(one))
            assert studies(second) == [1, 2, 3]


def test_a_receiver_that_nobody_vouches_for_hears_nothing(
    tmp_path: Path, start_receiver: StartReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(str(stranger))
    with start_receiver() as receiver:
        with caplog.at_level(logging.WARNING), trail(tmp_path / "trail", receiver.receiver(ca_file=stranger)) as counts:
            tell(1)
            while not counts["written"]:
                pass
        assert receiver.received == []
        assert load_position(tmp_path / "trail").number == 0
        assert counts["sent"] == 0


def test_files_that_go_before_they_are_sent_are_counted(tmp_path: Path, start_receiver: StartReceiver) -> None:
    port = free_port()
    away = Receiver("localhost", port, client_context(None, None, None), retry_seconds=(0.02, 0.02))
    with start_receiver(port) as receiver, trail(tmp_path, receiver.receiver()):
        tell(0)
        receiver.wait_for(lambda one: bool(one.received))
    for number in range(1, 41):
        with trail(tmp_path, away, max_file_bytes=1000, max_files=2):
            tell(number)
    with start_receiver(port) as receiver, trail(tmp_path, receiver.receiver(), max_files=2) as counts:
        tell(41)
        receiver.wait_for(lambda one: 41 in studies(one))
        arrived = studies(receiver)
    assert arrived == list(range(arrived[0], 42)), "the newest, in order"
    assert arrived[0] > 1
    assert counts["lost"] > 0


def test_a_receiver_that_stays_away_is_asked_less_and_less() -> None:
    assert list(islice(pauses_seconds(1.0, 60.0), 8)) == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_files_that_cannot_be_used_are_told_at_the_start(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    for arguments in ((nonsense, None, None), (None, nonsense, nonsense), (tmp_path / "nowhere", None, None)):
        with pytest.raises(InvalidInputError):
            client_context(*arguments)
    assert os.listdir(tmp_path) == ["nonsense.pem"]
