"""Receivers that are down, slow, silent or strict: nothing is lost, and nobody storms."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage

from deploy.orthanc.server import Orthanc
from deploy.prometheus.server import free_port
from entrust.errors import DeliveryFailedError, DeliveryRefusedError, EnTrustError
from service.delivery import InstanceRef, is_transient
from service.delivery.gate import FAILURES
from service.delivery.stow import StowSender
from service.delivery.targets import Confirmation, StowTarget
from tests.factories.deliveries import Parcel, Round, dimse, stow, write_parcel
from tests.servers.line import Line, OpenLine
from tests.servers.orthanc import StartOrthanc

REST_SECONDS = 2.0

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""pynetdicom leaves a socket that could not be connected to the garbage collector."""


def by_line(target: Any, orthanc: Orthanc, line: Line, **more: Any) -> dict[str, Any]:
    """Return the settings of an Orthanc behind a line."""
    settings = target(orthanc, rest_seconds=REST_SECONDS, **more)
    if target is stow:
        return settings | {"url": f"http://127.0.0.1:{line.port}/dicom-web"}
    return settings | {"port": line.port}


def port_of(target: Any, orthanc: Orthanc) -> int:
    return httpx.URL(orthanc.url).port or 0 if target is stow else orthanc.dicom_port


def tried(one: Round) -> float:
    """Return how many attempts came to nothing."""
    return one.value("entrust_delivery_attempts_total", target="pacs", stage="deliver", outcome="postponed")


async def persist(one: Round, parcel: Parcel) -> None:
    """Deliver and confirm, again and again while that may help."""
    while True:
        try:
            await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
            await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")
        except EnTrustError as error:
            if not is_transient(error):
                raise
            await asyncio.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("target", [stow, dimse])
async def test_many_studies_wait_out_an_outage_without_a_storm(
    target: Any, orthanc: Orthanc, tmp_path: Path, open_line: OpenLine
) -> None:
    parcels = [write_parcel(tmp_path / str(number)) for number in range(3)]
    everything = Parcel(tmp_path, tuple(path for parcel in parcels for path in parcel.results))
    async with open_line(port_of(target, orthanc)) as line:
        one = Round(everything, tmp_path, {"pacs": by_line(target, orthanc, line, concurrency=2)})
        line.state, began = "cut", time.monotonic()
        work = [asyncio.create_task(persist(one, parcel)) for parcel in parcels]
        while line.calls["cut"] < FAILURES + 2:
            await asyncio.sleep(0.05)
        assert one.value("entrust_delivery_targets_down", target="pacs") == 1
        down_seconds = time.monotonic() - began
        line.state = "through"
        # some at first, until it counts as down (two at a time); then one by one, after each rest
        assert line.calls["cut"] <= FAILURES + 1 + down_seconds / REST_SECONDS
        assert tried(one) >= line.calls["cut"] - 2  # two may not have heard of their failure yet
        await asyncio.gather(*work)
        assert one.value("entrust_delivery_targets_down", target="pacs") == 0
    assert len(await asyncio.to_thread(orthanc.get, "/studies")) == 3
    assert len(await asyncio.to_thread(orthanc.get, "/instances")) == 12


@pytest.mark.parametrize("target", [stow, dimse])
async def test_a_pacs_that_is_restarted_gets_everything(
    target: Any, start_orthanc: StartOrthanc, parcel: Parcel, tmp_path: Path
) -> None:
    with start_orthanc() as first:
        settings = target(first, rest_seconds=REST_SECONDS)
        ports = (port_of(stow, first), first.dicom_port)
    one = Round(parcel, tmp_path, {"pacs": settings})
    with pytest.raises(DeliveryFailedError, match="does not answer") as caught:
        await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
    assert is_transient(caught.value)
    waiting = asyncio.create_task(persist(one, parcel))
    again = start_orthanc(ports=ports)
    orthanc = await asyncio.to_thread(again.__enter__)
    try:
        await waiting
        assert len(await asyncio.to_thread(orthanc.get, "/instances")) == 4
    finally:
        await asyncio.to_thread(again.__exit__, None, None, None)


@pytest.mark.parametrize("target", [stow, dimse])
async def test_slow_is_served_and_silent_is_given_up(
    target: Any, orthanc: Orthanc, parcel: Parcel, tmp_path: Path, open_line: OpenLine
) -> None:
    async with open_line(port_of(target, orthanc)) as line:
        line.state = "slow"
        slow = Round(parcel, tmp_path / "slow", {"pacs": by_line(target, orthanc, line)})
        await persist(slow, parcel)
        assert slow.verdicts() == [["stored"] * 4]
        line.state = "silent"
        silent = Round(parcel, tmp_path / "silent", {"pacs": by_line(target, orthanc, line, timeout_seconds=0.5)})
        for stage in (silent.courier.deliver(parcel.study_uid, parcel.results, "pacs"),
                      silent.courier.confirm(parcel.study_uid, parcel.refs, "pacs")):  # fmt: skip
            with pytest.raises(DeliveryFailedError, match="does not answer") as caught:
                await stage
            assert is_transient(caught.value)


def open_files(folder: Path) -> list[str]:
    """Return the files of a folder that this process holds open."""
    opened = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if os.path.lexists(entry)]
    return [path.name for path in opened if path.is_relative_to(folder)]


async def test_a_connection_that_breaks_leaves_no_file_open(tmp_path: Path, open_line: OpenLine) -> None:
    file = tmp_path / "instance.dcm"
    with file.open("wb") as made:
        made.truncate(64 << 20)  # more than the network takes before it breaks
    ref = InstanceRef(file, SegmentationStorage, "1.2.3.1", "1.2.3", "1.2", ExplicitVRLittleEndian)
    async with open_line(free_port()) as line:
        line.state = "cut"
        url = f"http://127.0.0.1:{line.port}/dicom-web"
        sender = StowSender(StowTarget(name="pacs", confirmation=Confirmation.NONE, url=url))
        with pytest.raises(DeliveryFailedError, match="does not answer") as caught:
            await sender.send(ref.study_uid, [ref])
    assert open_files(tmp_path) == [], caught  # whoever keeps the error does not keep the file


async def test_wrong_credentials_are_a_dead_letter(start_orthanc: StartOrthanc, parcel: Parcel, tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("entrust:correct\n")
    wrong.write_text("entrust:horse\n")
    server = start_orthanc(credentials="entrust:correct")
    orthanc = await asyncio.to_thread(server.__enter__)
    try:
        url = f"http://127.0.0.1:{port_of(stow, orthanc)}/dicom-web"
        known = {"kind": "stow", "url": url, "credentials_file": right}
        for path in (wrong, None):
            one = Round(parcel, tmp_path, {"pacs": known | {"credentials_file": path}})
            with pytest.raises(DeliveryRefusedError, match="HTTP status 401") as caught:
                await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
            assert not is_transient(caught.value)
            assert "horse" not in str(caught.value)
        await persist(Round(parcel, tmp_path, {"pacs": known}), parcel)
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


FILTER = "function ReceivedInstanceFilter(dicom, origin, info) return dicom['Modality'] ~= 'SR' end"


async def test_a_pacs_that_says_yes_and_keeps_nothing_is_found_out(
    start_orthanc: StartOrthanc, parcel: Parcel, tmp_path: Path
) -> None:
    lua = tmp_path / "filter.lua"
    lua.write_text(FILTER)
    server = start_orthanc(settings={"LuaScripts": [str(lua)]})
    orthanc = await asyncio.to_thread(server.__enter__)
    try:
        for target in (stow, dimse):
            one = Round(parcel, tmp_path, {"pacs": target(orthanc)})
            await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
            assert one.verdicts() == [["stored"] * 4]
            with pytest.raises(DeliveryFailedError, match=r"1 of 4 instances are not confirmed: Comprehensive 3D SR"):
                await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)
