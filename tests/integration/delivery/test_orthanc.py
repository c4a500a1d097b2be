"""Results arrive in a real PACS by both protocols, and it is known that they have."""

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import dcmread

from deploy.orthanc.server import Orthanc
from entrust.errors import DeliveryFailedError, DeliveryRefusedError, InvalidInputError
from tests.factories.deliveries import Parcel, Round, dimse, stow


def kept(orthanc: Orthanc) -> dict[str, bytes]:
    """Return the instances of a PACS by SOP instance UID."""
    found = {}
    for instance in orthanc.get("/instances"):
        content = httpx.get(f"{orthanc.url}/instances/{instance}/file", trust_env=False).content
        found[str(dcmread(BytesIO(content), stop_before_pixels=True).SOPInstanceUID)] = content
    return found


@pytest.mark.parametrize("target", [stow, dimse])
async def test_results_arrive_and_are_read_back(target: Any, orthanc: Orthanc, parcel: Parcel, tmp_path: Path) -> None:
    one = Round(parcel, tmp_path, {"pacs": target(orthanc)})
    assert one.courier.targets == ("pacs",)
    with pytest.raises(DeliveryFailedError, match="4 of 4 instances are not confirmed"):
        await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")  # nothing was sent yet
    await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
    await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")
    there = await asyncio.to_thread(kept, orthanc)
    assert there.keys() == {ref.sop_instance_uid for ref in parcel.refs}
    for ref in parcel.refs:
        assert dcmread(BytesIO(there[ref.sop_instance_uid])) == dcmread(ref.path)
    await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")  # again: no harm
    await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")
    assert len(await asyncio.to_thread(kept, orthanc)) == 4
    assert one.verdicts() == [["stored"] * 4] * 2
    assert one.value("entrust_delivery_instances_total", target="pacs", outcome="stored") == 8
    attempts = "entrust_delivery_attempts_total"
    assert one.value(attempts, target="pacs", stage="confirm", outcome="done") == 2
    assert one.value(attempts, target="pacs", stage="confirm", outcome="postponed") == 1


@pytest.mark.parametrize("target", [stow, dimse])
async def test_another_content_under_the_same_name_is_noticed(
    target: Any, orthanc: Orthanc, parcel: Parcel, tmp_path: Path
) -> None:
    changed = dcmread(parcel.results[1])
    values = bytearray(changed.FloatPixelData)
    values[100] ^= 1
    changed.FloatPixelData = bytes(values)
    content = BytesIO()
    changed.save_as(content)
    await asyncio.to_thread(orthanc.post, "/instances", content.getvalue())
    one = Round(parcel, tmp_path, {"pacs": target(orthanc)})
    await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")  # it has an instance of that name
    with pytest.raises(DeliveryRefusedError, match=r"1 of 4 .* differs in FloatPixelData"):
        await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")


@pytest.mark.parametrize("target", [stow, dimse])
async def test_a_target_is_given_what_it_takes(target: Any, orthanc: Orthanc, parcel: Parcel, tmp_path: Path) -> None:
    one = Round(parcel, tmp_path, {"pacs": target(orthanc, objects="seg,sr")})
    await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
    await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")
    kinds = {ref.sop_instance_uid for ref in parcel.refs if ref.kind != "Parametric Map Storage"}
    assert (await asyncio.to_thread(kept, orthanc)).keys() == kinds
    assert one.verdicts() == one.verdicts("confirm") == [["stored"] * 2]


async def test_a_target_that_would_be_given_nothing_is_told(orthanc: Orthanc, parcel: Parcel, tmp_path: Path) -> None:
    one = Round(parcel, tmp_path, {"pacs": stow(orthanc, objects="rtstruct")})
    with pytest.raises(DeliveryRefusedError, match=r"the target pacs is given nothing\.") as caught:
        await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
    assert caught.value.fix == "See its objects."
    assert await asyncio.to_thread(kept, orthanc) == {}


async def test_nobody_else_is_called_by_an_unknown_name(parcel: Parcel, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no target of that name"):
        await Round(parcel, tmp_path, {}).courier.deliver(parcel.study_uid, parcel.results, "pacs")
