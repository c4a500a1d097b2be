"""The chart in every promised set of values."""

import pytest

from tests.factories import chart


@pytest.fixture(params=list(chart.VALUE_SETS), ids=lambda name: name.replace(" ", "-"))
def arguments(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What helm is told, for one set of values after the other."""
    return chart.VALUE_SETS[request.param]


@pytest.fixture
def found(arguments: tuple[str, ...]) -> list[chart.Manifest]:
    """The manifests of one set of values after the other."""
    return chart.manifests(*arguments)
