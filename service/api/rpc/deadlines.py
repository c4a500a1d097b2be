"""Whether a call that its caller ended had run out of time."""

from typing import Any

CLOCK_SLACK_SECONDS = 0.1
"""A client ends its call by its own clock, and counts from before the request travelled: by ours it is early."""


def out_of_time(context: Any) -> bool:
    """Return whether a call's deadline has passed, or will have passed once clocks agree."""
    left = context.time_remaining()
    return left is not None and left <= CLOCK_SLACK_SECONDS
