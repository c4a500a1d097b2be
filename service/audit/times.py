"""Moments as the trail writes them."""

from datetime import UTC, datetime


def stamp(moment: datetime | None) -> str:
    """Return a moment in UTC to the millisecond, as xsd:dateTime and RFC 5424 both take it."""
    return (moment or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(seconds: float | None) -> float | None:
    """Return a duration in milliseconds, to the microsecond."""
    return None if seconds is None else round(seconds * 1000.0, 3)
