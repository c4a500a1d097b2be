"""Logs: what no list allows does not come out, whoever says it."""

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from service.observability.logs import ALLOWED_KEYS, Allowlist, configure_logging, get_logger

PATIENT = "DOE^JANE"


class Tape:
    """What was written and what was left out."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.dropped: list[str] = []

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def tape() -> Iterator[Tape]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    tape = Tape()
    configure_logging(level="info", form="json", on_drop=tape.dropped.append, stream=tape.stream)
    yield tape
    structlog.reset_defaults()
    logging.captureWarnings(False)
    logging.getLogger("uvicorn.access").disabled = False
    root.handlers[:], root.level = before


def test_allowed_facts_come_out(tape: Tape) -> None:
    get_logger("service.jobs").info("job-finished", job_id="4f", duration_seconds=1.5)
    (line,) = tape.lines
    assert line["event"] == "job-finished"
    assert line["job_id"] == "4f"
    assert line["duration_seconds"] == 1.5
    assert line["level"] == "info"
    assert tape.dropped == []


def test_other_keys_are_dropped_and_counted(tape: Tape) -> None:
    get_logger("x").info("study-read", patient_name=PATIENT, path=f"/x/{PATIENT}")
    assert PATIENT not in tape.stream.getvalue()
    assert tape.dropped == ["key", "key"]


def test_containers_and_sentences_are_dropped_and_counted(tape: Tape) -> None:
    get_logger("x").info(f"Read the study of {PATIENT}", reason=[PATIENT])
    assert PATIENT not in tape.stream.getvalue()
    assert sorted(tape.dropped) == ["event", "value"]


def test_other_libraries_keep_level_and_logger_and_lose_their_words(tape: Tape) -> None:
    logging.getLogger("a.library").warning("Invalid value for VR PN: %s", PATIENT)
    logging.getLogger("uvicorn.error").info("GET %s", PATIENT)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(PATIENT, stacklevel=1)
    assert PATIENT not in tape.stream.getvalue()
    assert [line["logger"] for line in tape.lines] == ["a.library", "uvicorn.error", "py.warnings"]


def test_exceptions_become_class_and_position(tape: Tape) -> None:
    try:
        raise ValueError(PATIENT)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    (line,) = tape.lines
    assert line["error"] == "ValueError"
    assert "test_logs.py" in str(line["position"])
    assert PATIENT not in tape.stream.getvalue()


def test_uvicorn_writes_no_access_lines(tape: Tape) -> None:
    logging.getLogger("uvicorn.access").info("%s", PATIENT)
    assert tape.stream.getvalue() == ""


@given(st.dictionaries(st.text(min_size=1).filter(lambda k: not k.startswith("_")), st.text() | st.binary()))
def test_nothing_but_allowed_keys_ever_passes(event: dict[str, object]) -> None:
    dropped: list[str] = []
    kept = Allowlist(dropped.append)(None, "info", dict(event))
    assert set(kept) <= ALLOWED_KEYS
    assert all(isinstance(value, str) for value in kept.values())
