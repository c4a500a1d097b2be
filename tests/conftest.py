"""What every test gets: markers by folder, shapes checked at run time, the shared data, the servers.

The import hook must be installed before anything imports ``entrust``; therefore it stands at the top of this file.
"""

from pathlib import Path

import hypothesis
import pytest
from jaxtyping import install_import_hook

import tests.typechecker  # noqa: F401  (the hook looks it up by name)

CHECKED = [
    f"entrust.{room}"
    for room in (
        "calibration",
        "conflict",
        "drift",
        "metrics",
        "normalisation",
        "preparation",
        "presence",
        "region",
        "resampling",
        "sampling",
        "schedule",
        "slices",
        "structures",
        "trustmap",
        "uncertainty",
        "volume",
    )
]
install_import_hook(CHECKED, "tests.typechecker.checked")

# a busy machine must not fail a law for being slow; thirty cases a law keep the run short
hypothesis.settings.register_profile("entrust", max_examples=30, deadline=None)
hypothesis.settings.load_profile("entrust")

ROOT = Path(__file__).resolve().parent.parent
MARKERS = {"unit", "contract", "integration", "e2e"}

# every file in tests/servers starts one real server; a new one needs no line here
pytest_plugins = [f"tests.servers.{path.stem}" for path in sorted((ROOT / "tests" / "servers").glob("[!_]*.py"))]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the folder it lies in: tests/<marker>/…"""
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        if folder in MARKERS:
            item.add_marker(folder)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real studies beside the project; tests that need it skip where it is not."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real studies (../shared/data relative to the project) are not on this machine")
    return folder
