"""Settings: defaults hold, the environment is read, faults are named and never silent."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage

from entrust.errors import InvalidInputError
from service.settings import Settings, load_settings
from service.settings.peers import OBJECTS


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [n for n in os.environ if n.startswith("ENTRUST_")]:
        monkeypatch.delenv(name)


def test_defaults_listen_on_loopback_and_start_the_embedded_triton() -> None:
    settings = load_settings()
    assert settings.rest.host == "127.0.0.1"
    assert settings.triton.url == ""


def test_nested_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRUST_TRITON__URL", "triton:8001")
    monkeypatch.setenv("ENTRUST_REST__PORT", "0")
    settings = load_settings()
    assert settings.triton.url == "triton:8001"
    assert settings.rest.port == 0
    assert settings.rest.max_files == Settings().rest.max_files


def test_receivers_are_read_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PACS__KIND": "dimse", "PACS__HOST": "pacs", "PACS__PORT": "104", "PACS__AE_TITLE": "PACS",
        "PACS__CONFIRMATION": "commitment", "WEB__KIND": "stow", "WEB__URL": "https://web/dicom-web",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"ENTRUST_DELIVERY__TARGETS__{name}", value)
    targets = load_settings().delivery.targets
    assert set(targets) == {"pacs", "web"}
    assert (targets["pacs"].port, targets["pacs"].confirmation) == (104, "commitment")
    assert (targets["web"].url, targets["web"].confirmation) == ("https://web/dicom-web", "read-back")


def test_a_receiver_names_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"KIND": "stow", "URL": "https://web/dicom-web"}.items():
        monkeypatch.setenv(f"ENTRUST_DELIVERY__TARGETS__WEB__{name}", value)
    assert load_settings().delivery.targets["web"].sop_classes == set(OBJECTS.values())
    monkeypatch.setenv("ENTRUST_DELIVERY__TARGETS__WEB__OBJECTS", "seg,sr")
    given = load_settings().delivery.targets["web"].sop_classes
    assert given == {SegmentationStorage, Comprehensive3DSRStorage}
    monkeypatch.setenv("ENTRUST_DELIVERY__TARGETS__WEB__OBJECTS", "seg,maps")
    with pytest.raises(InvalidInputError, match="objects names some of seg, pm, sr"):
        load_settings()


@pytest.mark.parametrize(
    "given",
    [
        {"KIND": "stow"},
        {"KIND": "dimse", "HOST": "pacs"},
        {"KIND": "stow", "URL": "https://me:secret@web/dicom-web"},
        {"KIND": "stow", "URL": "https://web/dicom-web", "CONFIRMATION": "commitment"},
        {"KIND": "stow", "URL": "https://web/dicom-web", "KEY_FILE": "key.pem"},
        {"KIND": "stow", "URL": "https://web/dicom-web", "PASSWORD": "secret"},
        {"KIND": "stow", "URL": "https://web/dicom-web", "OBJECTS": "seg,map"},
        {"KIND": "stow", "URL": "https://web/dicom-web", "OBJECTS": "seg,"},
    ],
)
def test_half_a_receiver_is_refused(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"ENTRUST_DELIVERY__TARGETS__PACS__{name}", value)
    with pytest.raises(InvalidInputError) as caught:
        load_settings()
    assert "ENTRUST_DELIVERY__TARGETS__PACS" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("name", ["ENTRUST_TRITN__URL", "ENTRUST_TRITON__URI", "ENTRUST_URL"])
def test_a_misspelt_name_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "triton:8001")
    with pytest.raises(InvalidInputError) as caught:
        load_settings()
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENTRUST_REST__PORT", "65536"),
        ("ENTRUST_REST__MAX_BODY_BYTES", "0"),
        ("ENTRUST_JOBS__CONCURRENCY", "0"),
        ("ENTRUST_JOBS__RETENTION_SECONDS", "nan"),
        ("ENTRUST_TRITON__URL", "http://triton:8001/x?y"),
        ("ENTRUST_LOGS__LEVEL", "loud"),
    ],
)
def test_values_out_of_bounds_are_refused_without_being_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInputError) as caught:
        load_settings()
    assert name in caught.value.message


def test_a_group_as_one_broken_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRUST_REST", "{broken")
    with pytest.raises(InvalidInputError):
        load_settings()


def test_the_tree_is_frozen() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.rest.port = 1  # type: ignore[misc]


def test_sources_are_set_one_variable_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENTRUST_ARCHIVE__FOLDER", str(tmp_path))
    monkeypatch.setenv("ENTRUST_PULL__SOURCES__PACS__KIND", "dicomweb")
    monkeypatch.setenv("ENTRUST_PULL__SOURCES__PACS__URL", "https://pacs.example/dicom-web")
    monkeypatch.setenv("ENTRUST_PULL__SOURCES__OLD__KIND", "dimse")
    monkeypatch.setenv("ENTRUST_PULL__SOURCES__OLD__HOST", "10.0.0.7")
    monkeypatch.setenv("ENTRUST_PULL__SOURCES__OLD__PORT", "104")
    monkeypatch.setenv("ENTRUST_PULL__SOURCES__OLD__AE_TITLE", "OLDPACS")
    sources = load_settings().pull.sources
    assert (sources["pacs"].url, sources["old"].port) == ("https://pacs.example/dicom-web", 104)


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"PULL__SOURCES__PACS__KIND": "dicomweb"}, "url"),
        ({"PULL__SOURCES__PACS__KIND": "dimse", "PULL__SOURCES__PACS__HOST": "h"}, "ae_title"),
        ({"WORKLIST__URL": "https://m"}, "ENTRUST_WORKLIST__PROCEDURES"),
        ({"WORKLIST__URL": "https://m", "STUDIES__ENABLED": "false"}, "ENTRUST_STUDIES__ENABLED"),
        ({"WORKLIST__PROCEDURES": "GTV=oncology"}, "PROCEDURES"),
        ({"WORKLIST__SOURCE": "nowhere"}, "ENTRUST_WORKLIST__SOURCE"),
    ],
)
def test_peers_must_be_whole(
    variables: dict[str, str], complaint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENTRUST_ARCHIVE__FOLDER", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(f"ENTRUST_{name}", value)
    with pytest.raises(InvalidInputError, match=complaint):
        load_settings()


def test_a_gateway_without_an_archive_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRUST_PULL__SOURCES__PACS__KIND", "dicomweb")
    monkeypatch.setenv("ENTRUST_PULL__SOURCES__PACS__URL", "https://pacs.example")
    with pytest.raises(InvalidInputError, match="ENTRUST_ARCHIVE__FOLDER"):
        load_settings()
