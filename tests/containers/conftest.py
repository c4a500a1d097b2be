"""Containers take a quarter of an hour: they run when asked for, ``make e2e-containers``, and in no other test run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import Engine, gateway_upload
from tests.containers.images import TARGETS, build
from tests.containers.stack import Stack


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out unless the command line names it."""
    named = any("containers" in str(argument) for argument in config.invocation_params.args)
    return None if named else True


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Podman and buildah with a store of their own; at the end nothing runs, and of the store only the base is left."""
    started = Engine()
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def images(engine: Engine) -> dict[str, str]:
    """The built images by target."""
    return {target: build(engine, target) for target in TARGETS}


@pytest.fixture(scope="session")
def upload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom's study as a zip."""
    return gateway_upload(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def stack(engine: Engine, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """docker-compose.yml, running."""
    running = Stack(engine, images, tmp_path_factory.mktemp("stack"))
    running.up()
    yield running
    running.down()
