"""A real Orthanc that knows a gateway."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from deploy.orthanc.server import PLUGIN, Orthanc, running_orthanc

StartOrthanc = Callable[..., AbstractContextManager[Orthanc]]
"""``start_orthanc(scp_port=…, dicomweb_url=…)`` gives an Orthanc that is ready."""


@pytest.fixture(scope="session")
def start_orthanc(tmp_path_factory: pytest.TempPathFactory) -> StartOrthanc:
    """Start Orthancs with data of their own on free ports; they stop at the end of their block."""
    if shutil.which("Orthanc") is None or not PLUGIN.exists():
        pytest.skip("not installed: Orthanc and its DICOMweb plugin (apt-get install orthanc orthanc-dicomweb)")
    return lambda **known: running_orthanc(tmp_path_factory.mktemp("orthanc"), **known)
