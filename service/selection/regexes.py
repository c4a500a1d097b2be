"""Regular expressions from strangers: RE2, whose time is linear in the text, with bounds on their size."""

from functools import lru_cache
from typing import Any

import re2

MAX_PATTERN_CHARACTERS = 256
_MAX_MEMORY_BYTES = 512 << 10


def check_pattern(pattern: str) -> str:
    """Return a pattern that can be used.

    Raises:
        ValueError: It is too long, or RE2 does not take it.
    """
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise ValueError(f"the pattern is longer than {MAX_PATTERN_CHARACTERS} characters")
    _compiled(pattern)
    return pattern


def found_in(pattern: str, text: str) -> bool:
    """Tell whether a checked pattern is found anywhere in a text."""
    # lone surrogates, left by tags in a wrong character set, have no UTF-8
    return _compiled(pattern).search(text.encode("utf-8", "replace").decode()) is not None


@lru_cache(maxsize=128)  # of strangers' patterns: 64 MiB at worst
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False  # it writes the pattern to standard error otherwise
    options.max_mem = _MAX_MEMORY_BYTES
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeError):
        raise ValueError("the pattern is no regular expression of RE2 (which has no look-around, no \\1)") from None
