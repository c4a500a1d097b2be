"""Write a trace as a tree: what was a part of what, when it began, and how long it took."""

from collections.abc import Iterator, Sequence

from deploy.traces.receiver import ReceivedSpan

SHOWN = 2
"""Siblings of one name that are shown; of the others only their number and time is."""
FACTS = {
    "entrust.first_slice": "slice",
    "entrust.step": "step",
    "entrust.num_hypotheses": "K",
    "entrust.model": "model",
    "entrust.outcome": "outcome",
    "http.response.status_code": "status",
    "rpc.response.status_code": "status",
    "error.type": "error",
}
"""Attributes that are shown, by their name here."""


def roots(spans: Sequence[ReceivedSpan]) -> list[ReceivedSpan]:
    """Return the spans whose parent is not among them: one, if the trace is whole."""
    known = {span.span_id for span in spans}
    return [span for span in spans if span.parent_id not in known]


def draw(spans: Sequence[ReceivedSpan]) -> str:
    """Return the tree of one trace.

    Args:
        spans: Its spans, by their start.
    """
    if not spans:
        return "no spans"
    began = spans[0].start_seconds
    lines = [f"{'begins ms':>9} {'takes ms':>9}  {'by':<20} trace {spans[0].trace_id}"]
    for root in roots(spans):
        lines += _draw(spans, root, began, "", "")
    return "\n".join(lines)


def _draw(spans: Sequence[ReceivedSpan], span: ReceivedSpan, began: float, first: str, rest: str) -> Iterator[str]:
    facts = " ".join(f"{name}={span.attributes[key]}" for key, name in FACTS.items() if key in span.attributes)
    yield _line(span.start_seconds - began, _seconds(span), span.service, f"{first}{span.name}  {facts}".rstrip())
    children = [child for child in spans if child.parent_id == span.span_id]
    kept, hidden = _sift(children)
    for child in kept:
        last = child is kept[-1] and not hidden
        yield from _draw(spans, child, began, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))
    for name, others in hidden.items():
        corner = "└─ " if name == list(hidden)[-1] else "├─ "
        seconds = sum(map(_seconds, others))
        start = others[0].start_seconds - began
        yield _line(start, seconds, others[0].service, f"{rest}{corner}{name}  … {len(others)} more")


def _sift(children: Sequence[ReceivedSpan]) -> tuple[list[ReceivedSpan], dict[str, list[ReceivedSpan]]]:
    """Split children into those that are shown and the others by their name."""
    kept: list[ReceivedSpan] = []
    hidden: dict[str, list[ReceivedSpan]] = {}
    for child in children:
        if sum(each.name == child.name for each in kept) < SHOWN:
            kept.append(child)
        else:
            hidden.setdefault(child.name, []).append(child)
    return kept, hidden


def _seconds(span: ReceivedSpan) -> float:
    return span.end_seconds - span.start_seconds


def _line(start_seconds: float, seconds: float, service: str, words: str) -> str:
    return f"{start_seconds * 1e3:9.1f} {seconds * 1e3:9.1f}  {service:<20} {words}"
