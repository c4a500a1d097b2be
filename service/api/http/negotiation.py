"""Which of the offered media types an Accept header prefers (RFC 9110 section 12.5.1)."""

from collections.abc import Sequence


def negotiate(accept: str, offered: Sequence[str]) -> str | None:
    """Return the offered media type that the client likes best; earlier offers win ties.

    A missing header accepts everything. Ranges that cannot be read are passed over.

    Args:
        accept: Value of the Accept header.
        offered: Media types, lower case, without parameters, best first.

    Returns:
        One of ``offered``, or None when the client accepts none of them.
    """
    if not accept.strip():
        return offered[0] if offered else None
    ranges = [parsed for part in accept.split(",") if (parsed := _parse(part))]
    best, best_quality = None, 0.0
    for media_type in offered:
        # The most specific range that matches decides about a type: text/html;q=0 beats */*.
        matches = [(specificity, q) for pattern, q in ranges if (specificity := _match(pattern, media_type)) >= 0]
        quality = max(matches)[1] if matches else 0.0
        if quality > best_quality:
            best, best_quality = media_type, quality
    return best


def _parse(part: str) -> tuple[str, float] | None:
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    if media_range.count("/") != 1:
        return None
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return None
            if not 0.0 <= quality <= 1.0:
                return None
    return media_range, quality


def _match(pattern: str, media_type: str) -> int:
    """Return how specific the match is, −1 for none."""
    if pattern == media_type:
        return 2
    if pattern == f"{media_type.split('/')[0]}/*":
        return 1
    return 0 if pattern == "*/*" else -1
