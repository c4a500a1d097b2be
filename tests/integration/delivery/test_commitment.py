"""Storage commitment by a real PACS, which answers on an association of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]

from deploy.orthanc.server import Orthanc
from deploy.prometheus.server import free_port
from entrust.errors import DeliveryFailedError, DeliveryRefusedError
from service.api.dimse.listener import ScpSettings, open_listener
from service.archive import Archive, Watermark
from service.delivery import is_transient
from service.delivery.reports import CommitmentReports, Report
from service.startup import make_metrics
from tests.factories.deliveries import Parcel, Round, dimse
from tests.servers.orthanc import StartOrthanc

PUSH = "1.2.840.10008.1.20.1.1"


@contextlib.contextmanager
def our_scp(port: int, folder: Path, reports: CommitmentReports):  # type: ignore[no-untyped-def]
    archive = Archive(folder / "archive", watermark=Watermark(max_used_ratio=1.0, min_free_bytes=0))
    with contextlib.closing(archive):
        scp = ScpSettings("ENTRUST")
        with open_listener("127.0.0.1", port, scp, archive, make_metrics(), reports=reports) as server:
            yield server


@pytest.fixture
async def pacs(start_orthanc: StartOrthanc) -> AsyncIterator[tuple[Orthanc, int]]:
    """An Orthanc that knows us, and the port at which it does."""
    port = free_port()
    server = start_orthanc(scp_port=port)
    orthanc = await asyncio.to_thread(server.__enter__)
    try:
        yield orthanc, port
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


async def settle(one: Round, parcel: Parcel) -> None:
    """Confirm, again and again while that may help."""
    for _ in range(600):
        try:
            return await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")
        except DeliveryFailedError as error:
            if not is_transient(error):
                raise
            await asyncio.sleep(0.1)
    raise AssertionError("never confirmed")


async def test_a_pacs_commits_itself_and_tells_of_what_it_lost(
    pacs: tuple[Orthanc, int], parcel: Parcel, tmp_path: Path
) -> None:
    orthanc, port = pacs
    one = Round(parcel, tmp_path, {"pacs": dimse(orthanc, confirmation="commitment")})
    with our_scp(port, tmp_path, one.reports):
        await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
        await settle(one, parcel)
        lost = parcel.refs[0].sop_instance_uid
        (found,) = await asyncio.to_thread(orthanc.post, "/tools/lookup", lost.encode())
        await asyncio.to_thread(orthanc.delete, found["Path"])
        with pytest.raises(DeliveryRefusedError, match=r"1 of 4 .*it is not there \(0112\)"):
            await settle(one, parcel)
        await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
        await settle(one, parcel)


async def test_an_answer_may_come_later_and_to_another_process(
    pacs: tuple[Orthanc, int], parcel: Parcel, tmp_path: Path
) -> None:
    orthanc, _port = pacs  # at which nobody listens
    targets = {"pacs": dimse(orthanc, confirmation="commitment")}
    one = Round(parcel, tmp_path, targets)
    await one.courier.deliver(parcel.study_uid, parcel.results, "pacs")
    for _ in range(2):  # the second time it is not asked again
        with pytest.raises(DeliveryFailedError, match="no word yet of its commitment"):
            await one.courier.confirm(parcel.study_uid, parcel.refs, "pacs")
    (asked,) = (tmp_path / "commitments").iterdir()
    uids = tuple(ref.sop_instance_uid for ref in parcel.refs)
    assert CommitmentReports(tmp_path / "commitments").tell(asked.stem, Report(uids, {}))
    await Round(parcel, tmp_path, targets).courier.confirm(parcel.study_uid, parcel.refs, "pacs")


async def test_a_report_that_nobody_asked_for_is_refused(parcel: Parcel, tmp_path: Path) -> None:
    reports = CommitmentReports(tmp_path / "commitments")
    known = reports.open("pacs", ["1.2.3"])
    with our_scp(0, tmp_path, reports) as server:
        ae = AE("PACS")
        ae.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        call = ae.associate("127.0.0.1", int(server.server_address[1]), ae_title="ENTRUST", ext_neg=[role])
        assert call.is_established
        statuses = []
        for uid in ("../../etc/passwd", "2.25.1", known.uid):
            report = Dataset()
            report.TransactionUID = uid if uid[0] != "." else "2.25.2"
            if uid[0] == ".":
                report["TransactionUID"]._value = uid
            report.ReferencedSOPSequence = []
            status, _ = call.send_n_event_report(report, 1, StorageCommitmentPushModel, PUSH)
            statuses.append(int(status.Status))
        call.release()
    assert statuses == [0x0115, 0x0115, 0x0000]
    found = reports.find("pacs", ["1.2.3"])
    assert found is not None
    assert found.report == Report((), {})
