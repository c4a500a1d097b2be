"""Results of studies that came from a PACS are opened where the studies are; others leave with their job."""

import io

from pydicom import dcmread

from tests.factories.dicomweb import RELATED, related
from tests.factories.studies import dicom_bytes, dicom_datasets, zipped
from tests.servers.gateway import RunningGateway


async def segment(pacs: RunningGateway, contents: list[bytes]) -> None:
    study = zipped({f"{number}.dcm": content for number, content in enumerate(contents)})
    answer = await pacs.post(
        "/v1/segmentations?task=oncology&num_hypotheses=2&num_steps=2&wait=true",
        content=study,
        headers={"Content-Type": "application/zip", "Accept": "application/json"},
    )
    assert answer.status_code == 200, answer.text


async def test_results_lie_beside_their_study(pacs: RunningGateway) -> None:
    datasets = dicom_datasets(("ct", "pet", "t1"), None)
    contents = [dicom_bytes(ds) for ds in datasets]
    study = datasets[0].StudyInstanceUID
    here = f"/dicom-web/studies/{study}"
    await segment(pacs, contents)
    assert (await pacs.get(f"{here}/series")).json() == []  # it came with a request alone
    stored = await pacs.post("/dicom-web/studies", content=related(contents), headers={"Content-Type": RELATED})
    assert stored.status_code == 200
    await segment(pacs, contents)
    found = (await pacs.get(f"{here}/series")).json()
    assert len(found) == 7  # three that were sent, a mask, two maps, a report
    assert {"CT", "MR", "PT", "SEG", "SR"} < {one["00080060"]["Value"][0] for one in found}
    (segmentation,) = (await pacs.get(f"/dicom-web/instances?Modality=SEG&StudyInstanceUID={study}")).json()
    address = segmentation["00081190"]["Value"][0]
    ds = dcmread(io.BytesIO((await pacs.get(address, headers={"Accept": "application/dicom"})).content))
    cited = {item.SeriesInstanceUID for item in ds.ReferencedSeriesSequence}
    assert cited == {one.SeriesInstanceUID for one in datasets}
    metrics = (await pacs.get("/metrics")).text
    assert 'entrust_archive_instances_total{door="gateway",outcome="stored"} 4.0' in metrics
    await segment(pacs, contents)  # the same again: nothing is kept twice, and nothing fails
    assert len((await pacs.get(f"{here}/series")).json()) == len(found)
