"""WADO-RS by dicomweb-client: what went in comes out, as it is stored or as it is asked for."""

import asyncio
import io
from pathlib import Path

import httpx
import numpy as np
import pytest
from dicomweb_client.web import DICOMwebClient
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from tests.factories.dicom_cases import encode_case, read_case, usual_grids, write_study
from tests.factories.dicomweb import RELATED, part10, related, small_series
from tests.servers.gateway import RunningGateway

ROOT = "/dicom-web"
FRAMES = "multipart/related; type=application/octet-stream; transfer-syntax=*"
"""What OHIF sends for frames."""


def address(ds: Dataset) -> str:
    return f"{ROOT}/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"


def uids(ds: Dataset) -> tuple[str, str, str]:
    return ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID


def parts(response: httpx.Response) -> list[tuple[str, bytes]]:
    """Take a multipart answer apart: media type and content of each part."""
    boundary = response.headers["content-type"].rpartition("boundary=")[2].encode()
    pieces = response.content.split(b"--" + boundary)[1:-1]
    split = [piece.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n") for piece in pieces]
    return [(head.decode().removeprefix("Content-Type: "), content) for head, _, content in split]


@pytest.fixture(scope="module")
def client(pacs: RunningGateway) -> DICOMwebClient:
    return DICOMwebClient(str(pacs.base_url).rstrip("/") + ROOT)


async def put(pacs: RunningGateway, *contents: bytes) -> None:
    response = await pacs.post(f"{ROOT}/studies", content=related(contents), headers={"Content-Type": RELATED})
    assert response.status_code == 200, response.text


@pytest.fixture(scope="module")
async def series(client: DICOMwebClient) -> list[Dataset]:
    """A CT series, stored by dicomweb-client itself."""
    made = small_series(4, tags={"WindowCenter": 500, "WindowWidth": 1000})
    datasets: list[Dataset] = [dcmread(io.BytesIO(part10(ds))) for ds in made]
    response = await asyncio.to_thread(client.store_instances, datasets)
    assert len(response.ReferencedSOPSequence) == 4
    assert "FailedSOPSequence" not in response
    return datasets


async def test_series_and_studies_come_back_whole(client: DICOMwebClient, series: list[Dataset]) -> None:
    first = series[0]
    for back in (
        await asyncio.to_thread(client.retrieve_study, first.StudyInstanceUID),
        await asyncio.to_thread(client.retrieve_series, first.StudyInstanceUID, first.SeriesInstanceUID),
    ):
        assert [ds.SOPInstanceUID for ds in back] == [ds.SOPInstanceUID for ds in series]
        assert all(part10(a) == part10(b) for a, b in zip(back, series, strict=True))
    assert await asyncio.to_thread(client.retrieve_instance, *uids(first)) == first


async def test_metadata_are_every_attribute_and_lead_to_the_pixels(
    pacs: RunningGateway, client: DICOMwebClient, series: list[Dataset]
) -> None:
    found = await asyncio.to_thread(client.retrieve_study_metadata, series[0].StudyInstanceUID)
    assert len(found) == 4
    for metadata, ds in zip(found, series, strict=True):
        back = Dataset.from_json({tag: value for tag, value in metadata.items() if tag != "7FE00010"})
        expected = Dataset()
        expected.update({element.tag: element for element in ds if element.keyword != "PixelData"})
        assert back == expected
        uri = httpx.URL(metadata["7FE00010"]["BulkDataURI"]).copy_with(port=pacs.base_url.port)  # no port in its Host
        (pixels,) = await asyncio.to_thread(client.retrieve_bulkdata, str(uri))
        assert pixels == ds.PixelData


async def test_large_values_of_nested_items_have_addresses(pacs: RunningGateway) -> None:
    item = Dataset()
    item.add_new((0x0009, 0x0010), "LO", "TEST")
    item.add_new((0x0009, 0x1001), "OB", bytes(range(256)) * 8)
    ds = small_series(1, tags={"ReferencedImageSequence": [Dataset(), item]})[0]
    await put(pacs, part10(ds))
    (metadata,) = (await pacs.get(f"{address(ds)}/metadata")).json()
    uri = metadata["00081140"]["Value"][1]["00091001"]["BulkDataURI"]
    assert uri.endswith("/bulkdata/00081140/2/00091001")
    response = await pacs.get(uri, headers={"Accept": "application/octet-stream"})
    assert response.content == bytes(range(256)) * 8
    for wrong in ("00081140/3/00091001", "00081140/2/00091002", "00100010", "nonsense", "../../key"):
        assert (await pacs.get(f"{address(ds)}/bulkdata/{wrong}")).status_code == 404


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
async def test_compressed_instances_are_kept_as_they_are_and_decoded_on_request(
    pacs: RunningGateway, syntax: str
) -> None:
    original = small_series(1, "MR", rows=64)[0]
    ds = dcmread(io.BytesIO(part10(original)))
    ds.compress(syntax, generate_instance_uid=False)
    await put(pacs, part10(ds))
    as_stored = await pacs.get(address(ds), headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert as_stored.content == part10(ds)
    plain = await pacs.get(address(ds), headers={"Accept": "application/dicom"})
    assert plain.headers["content-type"] == f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}"
    assert np.array_equal(dcmread(io.BytesIO(plain.content)).pixel_array, original.pixel_array)
    ((stored_type, codestream),) = parts(await pacs.get(f"{address(ds)}/frames/1", headers={"Accept": FRAMES}))
    assert stored_type.endswith(f"transfer-syntax={syntax}")
    assert stored_type.startswith("image/jp2" if syntax == JPEG2000Lossless else "image/dicom-rle")
    assert codestream in ds.PixelData
    ((_, decoded),) = parts(await pacs.get(f"{address(ds)}/frames/1"))
    assert decoded == original.PixelData
    for refused in ("image/jls", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.80"):
        where = "/frames/1" if refused.startswith("image") else ""
        assert (await pacs.get(address(ds) + where, headers={"Accept": refused})).status_code == 406


async def test_frames_of_our_results_are_served(pacs: RunningGateway, client: DICOMwebClient, tmp_path: Path) -> None:
    """Bits that do not fill bytes, and floats: what a viewer asks for to draw masks and maps."""
    write_study(tmp_path, usual_grids())
    contents = encode_case(read_case(tmp_path))
    await put(pacs, *contents.values())
    images = [ds for content in contents.values() if "NumberOfFrames" in (ds := dcmread(io.BytesIO(content)))]
    assert len(images) == 3  # the mask and two maps; the report has no frames
    for ds in images:
        numbers = list(range(1, int(ds.NumberOfFrames) + 1))
        frames = await asyncio.to_thread(client.retrieve_instance_frames, *uids(ds), numbers)
        if int(ds.BitsAllocated) == 1:
            bits = [np.unpackbits(np.frombuffer(f, np.uint8), bitorder="little") for f in frames]
            array = np.stack([b[: ds.Rows * ds.Columns].reshape(ds.Rows, ds.Columns) for b in bits])
        else:
            array = np.stack([np.frombuffer(f, "<f4").reshape(ds.Rows, ds.Columns) for f in frames])
        assert np.array_equal(array, ds.pixel_array)
        assert array.any()
        (metadata,) = await asyncio.to_thread(
            client.retrieve_series_metadata, ds.StudyInstanceUID, ds.SeriesInstanceUID
        )
        assert len(metadata["52009230"]["Value"]) == len(numbers)
        picture = await asyncio.to_thread(
            client.retrieve_instance_frames_rendered, *uids(ds), [numbers[len(numbers) // 2]]
        )
        assert Image.open(io.BytesIO(picture)).size == (ds.Columns, ds.Rows)


async def test_pictures_show_the_window_that_is_asked_for(pacs: RunningGateway, series: list[Dataset]) -> None:
    ds = series[0]
    pixels = ds.pixel_array.astype(float)

    async def picture(query: str, accept: str = "image/png") -> Image.Image:
        response = await pacs.get(f"{address(ds)}/rendered{query}", headers={"Accept": accept})
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == accept
        return Image.open(io.BytesIO(response.content))

    own = np.asarray(await picture(""), float)
    assert np.abs(own - np.clip((pixels - 499.5) / 999 + 0.5, 0, 1) * 255).max() <= 0.51
    narrow = np.asarray(await picture("?window=300,2,linear"), float)
    assert set(np.unique(narrow[(pixels < 299) | (pixels > 300)])) == {0.0, 255.0}
    assert (await picture("?viewport=60,48")).size == (40, 48)
    assert (await picture("?quality=20", "image/jpeg")).format == "JPEG"
    assert max((await pacs_thumbnail(pacs, ds)).size) == 128


async def pacs_thumbnail(pacs: RunningGateway, ds: Dataset) -> Image.Image:
    return Image.open(io.BytesIO((await pacs.get(f"{address(ds)}/thumbnail")).content))


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/frames/0", FRAMES, 404),
        ("/frames/2", FRAMES, 404),
        ("/frames/1,x", FRAMES, 400),
        ("/frames/1", "image/png", 406),
        ("/frames/1/rendered", "video/mp4", 406),
        ("/frames/1,1/rendered", "image/png", 400),
        ("/rendered?window=1", "image/png", 400),
        ("/rendered?window=nan,nan", "image/png", 400),
        ("/rendered?viewport=0,5", "image/png", 400),
        ("/metadata", "application/dicom+xml", 406),
        ("", "application/dicom+json", 406),
        ("", "text/html", 406),
        ("9", "application/dicom", 404),
        ("9/metadata", "*/*", 404),
    ],
)
async def test_what_there_is_not_is_said(
    pacs: RunningGateway, series: list[Dataset], path: str, accept: str, status: int
) -> None:
    response = await pacs.get(address(series[0]) + path, headers={"Accept": accept})
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"


async def test_real_instances_in_every_transfer_syntax_come_back_as_they_went_in(
    pacs: RunningGateway, shared_data: Path
) -> None:
    contents: list[bytes] = []
    for path in sorted((shared_data / "awkward_dicom" / "cornerstone").rglob("*.dcm")):
        ds = dcmread(path)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{len(contents)}"
        contents.append(part10(ds))
    syntaxes: set[str] = set()
    for content in contents:
        await put(pacs, content)
        ds = dcmread(io.BytesIO(content), stop_before_pixels=True)
        headers = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        ((media_type, back),) = parts(await pacs.get(address(ds), headers=headers))
        assert back == content
        syntaxes.add(media_type.rpartition("=")[2])
    assert len(syntaxes) >= 10
