"""What receivers may say of instances, one by one, and what is made of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import Comprehensive3DSRStorage, ParametricMapStorage, SegmentationStorage

from entrust.errors import DeliveryFailedError, DeliveryRefusedError
from service.delivery import is_transient
from tests.factories.deliveries import Parcel, Round
from tests.servers.receivers import StoreScp, StowServer, store_response

REPORT, MAP, SEGMENTATION = Comprehensive3DSRStorage, ParametricMapStorage, SegmentationStorage


def dimse(scp: StoreScp, **more: Any) -> dict[str, Any]:
    where = {"host": "127.0.0.1", "port": scp.port, "ae_title": "PACS"}
    return {"pacs": {"kind": "dimse", **where, "confirmation": "commitment", **more}}


def stow(server: StowServer, **more: Any) -> dict[str, Any]:
    return {"pacs": {"kind": "stow", "url": server.url, "confirmation": "none", **more}}


async def attempt(one: Round, parcel: Parcel) -> str:
    """Deliver, and return what the error says; empty without one."""
    try:
        await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
    except DeliveryFailedError as error:
        return f"{'later' if is_transient(error) else 'never'}: {error.message}"
    return ""


async def test_dimse_sends_again_only_what_was_not_taken(store_scp: StoreScp, parcel: Parcel, tmp_path: Path) -> None:
    store_scp.answers = {MAP: [0xA700, 0x0000, 0x0110]}
    one = Round(parcel, tmp_path, dimse(store_scp))
    first = await attempt(one, parcel)
    assert first == "later: 1 of 4 instances were not taken: Parametric Map Storage: out of resources (A700)."
    assert sorted(store_scp.got) == sorted([SEGMENTATION, MAP, MAP, REPORT])
    assert (await attempt(one, parcel)).startswith("later: 1 of 4")
    assert await attempt(one, parcel) == ""
    assert store_scp.got[4:] == [MAP, MAP]
    assert await attempt(one, parcel) == ""  # asked to deliver once more, it does
    assert len(store_scp.got) == 10


async def test_dimse_dead_letters_have_reasons_and_cost_the_others_nothing(
    store_scp: StoreScp, parcel: Parcel, tmp_path: Path
) -> None:
    store_scp.answers = {REPORT: [0xC123], MAP: [0xB007, 0x0111]}
    one = Round(parcel, tmp_path, dimse(store_scp))
    said = await attempt(one, parcel)
    assert said == "never: 1 of 4 instances were not taken: Comprehensive 3D SR Storage: cannot understand (C123)."
    assert one.verdicts() == [["refused", "stored", "stored", "stored"]]
    for outcome, count in (("stored", 2), ("warned", 1), ("refused", 1)):
        assert one.value("entrust_delivery_instances_total", target="pacs", outcome=outcome) == count


async def test_a_refusal_is_told_when_the_rest_has_arrived(store_scp: StoreScp, parcel: Parcel, tmp_path: Path) -> None:
    store_scp.answers = {REPORT: [0xA900], MAP: [0xA700]}
    one = Round(parcel, tmp_path, dimse(store_scp))
    assert (await attempt(one, parcel)).startswith("later: 1 of 4 instances")
    assert "never: 1 of 4 instances were not taken: Comprehensive 3D SR Storage: data set does not" in await attempt(
        one, parcel
    )
    assert store_scp.got.count(REPORT) == 1


async def test_dimse_strangers_are_turned_away_for_good(store_scp: StoreScp, parcel: Parcel, tmp_path: Path) -> None:
    one = Round(parcel, tmp_path, dimse(store_scp, ae_title="OTHER"))
    assert await attempt(one, parcel) == "never: The target pacs rejected the association."


async def test_commitment_comes_on_the_association_of_the_request(
    store_scp: StoreScp, parcel: Parcel, tmp_path: Path
) -> None:
    one = Round(parcel, tmp_path, dimse(store_scp))
    await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
    await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")
    assert one.verdicts("confirm") == [["stored"] * 4]
    assert not list((tmp_path / "commitments").iterdir())  # nothing is left to wait for


async def test_commitment_that_fails_names_its_reasons(store_scp: StoreScp, parcel: Parcel, tmp_path: Path) -> None:
    one = Round(parcel, tmp_path, dimse(store_scp))
    lost, busy = parcel.refs[0].sop_instance_uid, parcel.refs[1].sop_instance_uid
    store_scp.reports = lambda uid: {busy: 0x0110}.get(uid, 0)
    with pytest.raises(DeliveryFailedError, match=r"1 of 4 .* processing failure \(0110\)") as caught:
        await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")
    assert is_transient(caught.value)
    store_scp.reports = lambda uid: {lost: 0x0112}.get(uid, 0)
    with pytest.raises(DeliveryRefusedError, match=r"1 of 4 .* it is not there \(0112\)"):
        await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")
    store_scp.reports = lambda uid: 0
    await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")  # asked anew each time


async def test_stow_sends_again_only_what_was_not_taken(
    stow_server: StowServer, parcel: Parcel, tmp_path: Path
) -> None:
    one = Round(parcel, tmp_path, stow(stow_server))

    def maps_later(instances: dict[str, str], _headers: dict[str, str]) -> tuple[int, bytes]:
        failed = {uid: 0xA701 for uid, kind in instances.items() if kind == MAP}
        return 202, store_response([uid for uid in instances if uid not in failed], failed)

    stow_server.say = maps_later
    assert await attempt(one, parcel) == (
        "later: 2 of 4 instances were not taken: Parametric Map Storage: out of resources (A701)."
    )
    stow_server.say = lambda instances, _: (200, store_response(list(instances), {}))
    assert await attempt(one, parcel) == ""
    assert [sorted(kinds) for kinds in stow_server.requests] == [sorted([SEGMENTATION, MAP, MAP, REPORT]), [MAP, MAP]]


async def test_stow_refuses_one_and_takes_the_rest(stow_server: StowServer, parcel: Parcel, tmp_path: Path) -> None:
    one = Round(parcel, tmp_path, stow(stow_server))

    def no_reports(instances: dict[str, str], _headers: dict[str, str]) -> tuple[int, bytes]:
        failed = {uid: 0x0122 for uid, kind in instances.items() if kind == REPORT}
        return 202, store_response([uid for uid in instances if uid not in failed], failed)

    stow_server.say = no_reports
    assert await attempt(one, parcel) == (
        "never: 1 of 4 instances were not taken: "
        "Comprehensive 3D SR Storage: class or transfer syntax not supported (0122)."
    )
    assert one.verdicts() == [["refused", "stored", "stored", "stored"]]


async def test_a_request_that_is_refused_as_a_whole_is_taken_apart(
    stow_server: StowServer, parcel: Parcel, tmp_path: Path
) -> None:
    one = Round(parcel, tmp_path, stow(stow_server))

    def bad_when_a_report_is_in_it(instances: dict[str, str], _headers: dict[str, str]) -> tuple[int, bytes]:
        bad = REPORT in instances.values()
        return (400, b"no") if bad else (200, store_response(list(instances), {}))

    stow_server.say = bad_when_a_report_is_in_it
    assert await attempt(one, parcel) == (
        "never: 1 of 4 instances were not taken: Comprehensive 3D SR Storage: HTTP status 400."
    )
    assert [len(kinds) for kinds in stow_server.requests] == [4, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"", ""),  # without a word: its first word is believed, and reading back is for doubts
        (200, b'{"00081198": {"vr": "SQ"}, "00081199": {"vr": "SQ"}}', "later: 4 of 4 instances were not taken"),
        (202, b"<xml/>", "later: 4 of 4 instances"),
        (200, b"[]", ""),
        (200, b'{"00081198": {"vr": "SQ", "Value": [7]}, "0008119A": {"vr": "SQ", "Value": [{}]}}', "never: 4 of 4"),
        (409, store_response([], {}), "later: 4 of 4 instances were not taken"),
        (301, b"", "never: The target pacs refused (HTTP status 301)."),
        (401, b"", "never: The target pacs refused (HTTP status 401)."),
        (404, b"", "never: The target pacs refused (HTTP status 404)."),
        (429, b"", "later: The target pacs cannot serve now (HTTP status 429)."),
        (503, b"", "later: The target pacs cannot serve now (HTTP status 503)."),
        (200, b"{" + b" " * (17 << 20), "later: The target pacs does not answer (an endless answer)."),
    ],
)
async def test_every_answer_means_something(
    status: int, body: bytes, said: str, stow_server: StowServer, parcel: Parcel, tmp_path: Path
) -> None:
    stow_server.say = lambda _instances, _headers: (status, body)
    found = await attempt(Round(parcel, tmp_path, stow(stow_server)), parcel)
    assert found.startswith(said)
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("content", "header"), [("me:secret", "Basic bWU6c2VjcmV0"), ("abc.def", "Bearer abc.def"), (None, None)]
)
async def test_credentials_come_from_their_file(
    content: str | None, header: str | None, stow_server: StowServer, parcel: Parcel, tmp_path: Path
) -> None:
    seen: list[str | None] = []

    def look(instances: dict[str, str], headers: dict[str, str]) -> tuple[int, bytes]:
        seen.append(headers.get("Authorization"))
        return 200, store_response(list(instances), {})

    stow_server.say = look
    path = tmp_path / "credentials"
    if content is not None:
        path.write_text(f"{content}\n")
    more = {} if content is None else {"credentials_file": path}
    assert await attempt(Round(parcel, tmp_path, stow(stow_server, **more)), parcel) == ""
    assert seen == [header]


def test_the_response_builder_writes_dicom_json() -> None:
    body = json.loads(store_response(["1.2"], {"1.3": 7}))
    assert body["00081198"]["Value"][0]["00081197"] == {"vr": "US", "Value": [7]}
