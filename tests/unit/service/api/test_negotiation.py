"""Content negotiation by Accept (RFC 9110 section 12.5.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.http.negotiation import negotiate

OFFERED = ["application/zip", "application/json", "image/png"]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/zip"),
        ("*/*", "application/zip"),
        ("application/json", "application/json"),
        ("APPLICATION/JSON", "application/json"),
        ("image/*", "image/png"),
        ("application/*", "application/zip"),
        ("text/html, image/png;q=0.5, application/json;q=0.9", "application/json"),
        ("application/zip;q=0, */*", "application/json"),
        ("application/*;q=0.2, image/png;q=0.3", "image/png"),
        ("application/json;q=1.0;v=1, image/png;q=0.9", "application/json"),
        ("text/html", None),
        ("*/*;q=0", None),
        ("nonsense", None),
        ("nonsense, image/png", "image/png"),
        ("image/png;q=high", None),
        ("image/png;q=2", None),
        (";;,,/", None),
    ],
)
def test_the_client_gets_what_it_likes_best(accept: str, chosen: str | None) -> None:
    assert negotiate(accept, OFFERED) == chosen


def test_nothing_offered_nothing_chosen() -> None:
    assert negotiate("", []) is None


@given(st.text())
def test_any_header_has_an_answer(accept: str) -> None:
    assert negotiate(accept, OFFERED) in {*OFFERED, None}
