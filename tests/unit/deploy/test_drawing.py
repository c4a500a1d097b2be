"""Numbers in the pictures are written as Grafana writes them."""

import pytest

from deploy.grafana.drawing import Span, words


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.25, "percentunit", "25 %"),
        (0.0025, "s", "2.5 ms"),
        (2.5, "s", "2.5 s"),
        (3 * 1024**2, "bytes", "3 MiB"),
        (0.0, "Bps", "0 B/s"),
        (1536.0, "Bps", "1.5 KiB/s"),
        (2.0, "reqps", "2 req/s"),
        (7.0, "short", "7"),
    ],
)
def test_a_value_in_words(value: float, unit: str, text: str) -> None:
    assert words(value, unit) == text


def test_grafanas_variables_are_filled_in() -> None:
    span = Span(0.0, 60.0, 1.0, "30s")
    assert span.expression('x{task=~"$task"}[$__rate_interval]') == 'x{task=~".*"}[30s]'
