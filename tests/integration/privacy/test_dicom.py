"""Nor the doors by which a PACS reaches the archive."""

import asyncio
from io import BytesIO

import httpx
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE

from tests.factories.canaries import heard
from tests.factories.dicomweb import RELATED, part10, related
from tests.integration.privacy.watched import SINGER, Watched, singing


async def test_stow_and_wado(watched: Watched, client: httpx.AsyncClient) -> None:
    datasets = singing(("ct",))
    study, series = datasets[0].StudyInstanceUID, datasets[0].SeriesInstanceUID
    parts = [part10(ds) for ds in datasets]
    parts.append(SINGER.encode())  # no DICOM
    parts.append(parts[0].replace(b"\x08\x00\x18\x00UI", b"\x08\x00\x18\x00ZZ"))  # cannot be read to its UIDs
    answer = await client.post(f"/dicom-web/studies/{study}", content=related(parts), headers={"Content-Type": RELATED})
    assert answer.status_code == 202, answer.text
    refused = [
        await client.post("/dicom-web/studies/1.2.3", content=related(parts[:1]), headers={"Content-Type": RELATED}),
        await client.post("/dicom-web/studies", content=SINGER.encode(), headers={"Content-Type": RELATED}),
        await client.post("/dicom-web/studies", content=b"x", headers={"Content-Type": f"text/{SINGER}"}),
    ]
    instance = f"/dicom-web/studies/{study}/series/{series}/instances/{datasets[0].SOPInstanceUID}"
    refused += [
        await client.get(f"{instance}/frames/99"),
        await client.get(f"{instance}/bulkdata/{SINGER}"),
        await client.get(f"{instance}/rendered", params={"window": SINGER}),
    ]
    for one in (answer, *refused):
        assert one is answer or 400 <= one.status_code < 500, one.text
        assert not heard(one.content + str(one.headers).encode())
    picture = await client.get(f"{instance}/rendered", headers={"Accept": "image/png"})
    assert picture.status_code == 200
    assert not heard(picture.content), "words in a picture's metadata"
    watched.assert_silent()


async def test_c_store(watched: Watched) -> None:
    assert await asyncio.to_thread(_store, watched.dimse_port) == [0x0000, 0x0111, 0xC000]
    assert await asyncio.to_thread(_store, watched.dimse_port, "STRANGER") == []
    watched.assert_silent()


def _store(port: int, title: str = "SCANNER") -> list[int]:
    """Send a good instance, another one under its UID, and one that ends within an element."""
    good, other = singing(("ct",))[:2]
    other.SOPInstanceUID = good.SOPInstanceUID
    ae = AE(title)
    ae.add_requested_context(good.SOPClassUID, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", port, ae_title="ENTRUST")
    if not association.is_established:
        association.dul.socket.close()
        return []
    statuses = [int(association.send_c_store(ds).Status) for ds in (good, other)]
    request = C_STORE()
    request.MessageID, request.Priority = 7, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = good.SOPClassUID, "1.2.3.4"
    request.DataSet = BytesIO(b"\x10\x00\x10\x00PN\xff\x00" + SINGER.encode())
    association._reactor_checkpoint.clear()  # else the client's own thread would take the response
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.release()
    return [*statuses, int(answer.Status)]
