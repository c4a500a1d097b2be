"""docs/results.md: its command works, and it names every object, extra and private code."""

import asyncio
import io
import re
import zipfile
from pathlib import Path

import httpx
from pydicom import dcmread
from pydicom.sr.coding import Code

from service.encode import Extra, codes
from tests.factories.dicom_cases import encode_case, read_case, usual_grids, write_study
from tests.factories.studies import dicom_zip

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "results.md").read_text()


async def test_its_command_works(gateway: httpx.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "study.zip").write_bytes(dicom_zip())
    (script,) = re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    process = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", script,
        cwd=tmp_path, env={"URL": str(gateway.base_url).rstrip("/"), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        names = {name for name in archive.namelist() if name.endswith(".dcm")}
    usual = {"segmentation.dcm", "error_probability.dcm", "conflict.dcm", "report.dcm"}
    assert names == usual | {"rtstruct.dcm", "montage.dcm"}


def test_it_names_every_object_with_its_series(tmp_path: Path) -> None:
    write_study(tmp_path, usual_grids())
    for name, content in encode_case(read_case(tmp_path), extras=tuple(Extra)).items():
        number = int(dcmread(io.BytesIO(content)).SeriesNumber)
        row = re.sub(r"_(ct|pet|t1)\.", "_<modality>.", name)
        (series,) = re.findall(rf"^\| `{re.escape(row)}` \|[^|]*\| (\d+)", DOCUMENT, re.MULTILINE)
        assert int(series) == number or ("<modality>" in row and int(series) <= number < int(series) + 3)
    for extra in Extra:
        assert f"extra_results={extra}" in DOCUMENT


def test_it_names_every_private_code() -> None:
    values = {code.value for code in vars(codes).values() if isinstance(code, Code)} - {codes.CONFLICT.value}
    assert len(values) >= 9
    assert {value for value in values if f"`{value}`" not in DOCUMENT} == set()
