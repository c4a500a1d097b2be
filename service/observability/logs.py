"""Logs of which nobody needs to be afraid: an allowlist decides what is written, the rest is dropped and counted.

An event is a lower-case slug (``job-finished``), its facts are keys of :data:`ALLOWED_KEYS`. Records of other libraries
keep their logger and level and lose their words, because such words quote what was read (DICOM values, file names,
query strings). Exceptions are reduced to class names and code positions for the same reason.
"""

import logging
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any, Literal, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from service.observability.traces import current

ALLOWED_KEYS: frozenset[str] = frozenset(
    {
        # what structlog adds
        "event", "level", "logger", "timestamp",
        # who and where
        "request_id", "job_id", "trace_id", "span_id", "task", "model", "stage", "version", "digest", "process_id",
        # HTTP, without paths, queries and file names: the route is a template
        "method", "route", "status", "host", "port",
        # outcomes
        "kind", "cause", "code", "outcome", "state", "reason", "error", "position",
        # numbers
        "duration_seconds", "step", "of", "num_hypotheses", "num_steps", "seed", "sampler", "count", "size_bytes",
        "attempt",
        # the doors of the PACS and deliveries to it: constants, counts, names of targets
        "door", "refused", "target",
    }
)  # fmt: skip
"""Keys that may be written. ``cause`` holds messages of :mod:`entrust.errors` only, which are free of patient data."""

SPEAKING_LOGGERS: frozenset[str] = frozenset({"uvicorn.error"})
"""Loggers of other libraries whose constant words are kept: start and stop of the server."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_MAX_VALUE_CHARACTERS = 300
_SCALARS = (str, int, float, bool, type(None))

OnDrop = Callable[[str], None]
"""Told of each dropped key by its reason: ``key``, ``value`` or ``event``."""


class Allowlist:
    """A structlog processor that lets through what :data:`ALLOWED_KEYS` names, with plain short values.

    Args:
        on_drop: Told of each thing that was left out.
    """

    def __init__(self, on_drop: OnDrop) -> None:
        self._on_drop = on_drop

    def __call__(self, _logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
        """Return what may be written of one event."""
        kept: EventDict = {}
        for key, value in event_dict.items():
            if key.startswith("_"):  # structlog's own bookkeeping, removed by its formatter
                kept[key] = value
            elif key not in ALLOWED_KEYS:
                self._on_drop("key")
            elif not isinstance(value, _SCALARS):
                self._on_drop("value")
            else:
                kept[key] = value[:_MAX_VALUE_CHARACTERS] if isinstance(value, str) else value
        if not _SLUG.fullmatch(str(kept.get("event", ""))):
            kept["event"] = "event-withheld"
            self._on_drop("event")
        return kept


def describe_exception(error: BaseException) -> dict[str, str]:
    """Return an exception's class and the code position it came from, without its words.

    Args:
        error: Any exception; its message may hold patient data and is left out.
    """
    frames = traceback.extract_tb(error.__traceback__)
    position = ""
    if frames:
        own = [f for f in frames if "/service/" in f.filename or "/entrust/" in f.filename]
        frame = (own or frames)[-1]
        position = f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}"
    return {"error": type(error).__name__, "position": position}


def _add_trace(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Name the trace and the span in which something was said."""
    span = current()
    if span.trace_id:
        event_dict["trace_id"], event_dict["span_id"] = span.trace_id, span.span_id
    return event_dict


def _foreign(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Withhold the words of another library's record."""
    record: logging.LogRecord | None = event_dict.get("_record")
    if record is None:
        return event_dict
    safe: EventDict = {k: v for k, v in event_dict.items() if k.startswith("_")}
    safe["event"] = "library-record"
    if record.name in SPEAKING_LOGGERS and record.exc_info is None and isinstance(record.msg, str):
        safe["reason"] = record.msg  # the template, never its arguments
    if record.exc_info and record.exc_info[1] is not None:
        safe.update(describe_exception(record.exc_info[1]))
    return safe


def configure_logging(
    *,
    level: Literal["debug", "info", "warning", "error"],
    form: Literal["json", "text"],
    on_drop: OnDrop,
    stream: TextIO | None = None,
) -> None:
    """Send every record of this process, ours and others', through the allowlist to one stream.

    Args:
        level: Least level that is written.
        form: ``json`` for machines, ``text`` for people.
        on_drop: Told of each key, value or event that was left out.
        stream: Where to write; standard error when not given.
    """
    out = sys.stderr if stream is None else stream
    renderer: Processor = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    stamps: list[Processor] = [
        _add_trace,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_foreign, *stamps],
        processors=[Allowlist(on_drop), structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # uvicorn's access lines carry paths and queries; the gateway writes its own by route.
    logging.getLogger("uvicorn.access").disabled = True
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *stamps,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> Any:
    """Return a logger; call it as ``log.info("job-finished", job_id=…, duration_seconds=…)``."""
    return structlog.get_logger(name)
